-- The journal of the queue, version 2 (schema-1.sql brings version 1 here). Times are wall clock ns; paths, names and keys are bytes.
-- job.state: 0 queued 1 preparing 2 active 3 completing 4 done 5 failed 6 paused 7 cancelling 8 cancelled
-- upload.state: 0 creating 1 open 2 completing 3 announcing 4 done 5 aborting (gone ones are deleted)

CREATE TABLE dest(
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, scheme TEXT NOT NULL, endpoint TEXT, bucket TEXT, prefix TEXT, region TEXT,
  profile TEXT                              -- names credentials, never holds them
) STRICT;

CREATE TABLE batch(
  id INTEGER PRIMARY KEY, dest INTEGER NOT NULL REFERENCES dest(id),
  roots BLOB NOT NULL,                      -- each path followed by a NUL
  options TEXT NOT NULL,                    -- JSON object of strings
  scan_state INTEGER NOT NULL CHECK(scan_state BETWEEN 0 AND 2), added_ns INTEGER NOT NULL
) STRICT;

-- What sums and walks need stands before the long columns, so that a row need not be decoded to its end. What is said of columns stands outside
-- of the statements, which are kept in the file: a damaged page of them costs every row.
--   objects    that become of it; 0 = one, told by this row alone
--   object     the one of them that key, staged, recipe, url ... are of: that it is at; the first when it is done
--   total      bytes of all objects; NULL when it is one
--   stored     bytes of the objects that are there; acked is never less
--   prepared   a picture that was looked at: staged says what is sent, NULL = it goes as it is
--   plain      the key of the file as it is, where key is that of an object made of it; NULL = key
--   pattern    of the keys of renditions, without the destination's prefix; NULL when there is but one
--   stored_key chosen by the server or an application; NULL = key
CREATE TABLE job(
  id INTEGER PRIMARY KEY,
  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 8),
  batch INTEGER NOT NULL REFERENCES batch(id), dest INTEGER NOT NULL REFERENCES dest(id),
  pos INTEGER NOT NULL,
  size INTEGER NOT NULL CHECK(size >= 0), staged_size INTEGER, acked INTEGER NOT NULL DEFAULT 0,
  objects INTEGER NOT NULL DEFAULT 0,
  object INTEGER NOT NULL DEFAULT 0,
  total INTEGER, stored INTEGER NOT NULL DEFAULT 0,
  prepared INTEGER NOT NULL DEFAULT 0,
  tries INTEGER NOT NULL DEFAULT 0, not_before_ns INTEGER NOT NULL DEFAULT 0,
  mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, dev INTEGER NOT NULL, ino INTEGER NOT NULL,
  name BLOB NOT NULL, path BLOB NOT NULL, key BLOB NOT NULL,
  plain BLOB, pattern BLOB,
  staged TEXT, recipe TEXT, note TEXT, fault TEXT, cause TEXT,
  stored_key BLOB,
  url TEXT, etag TEXT, version TEXT, checksum TEXT, verified INTEGER NOT NULL DEFAULT 0,
  added_ns INTEGER NOT NULL, started_ns INTEGER NOT NULL DEFAULT 0, done_ns INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Each of these costs every file an entry: job_state serves the lists of views and, by destination, the work that is due.
CREATE UNIQUE INDEX job_key ON job(batch, key);
CREATE UNIQUE INDEX job_once ON job(dest, path, CASE WHEN state IN (4, 8) THEN batch ELSE 0 END);
CREATE INDEX job_state ON job(state, dest, pos);
CREATE INDEX job_retry ON job(not_before_ns) WHERE state = 0 AND not_before_ns > 0;

-- What becomes of one file when that is more than one object: renditions of a picture, the original beside them. A key is taken in a batch
-- when a job or an object has it. state: 0 waits 1 stored 2 was there already and was left alone
CREATE TABLE object(
  job INTEGER NOT NULL REFERENCES job(id) ON DELETE CASCADE, n INTEGER NOT NULL CHECK(n >= 0),
  batch INTEGER NOT NULL, name TEXT NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL CHECK(size >= 0),
  staged TEXT, recipe TEXT,
  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 2),
  stored_key BLOB, url TEXT, etag TEXT, version TEXT, checksum TEXT, verified INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(job, n)
) WITHOUT ROWID, STRICT;

CREATE UNIQUE INDEX object_key ON object(batch, key);

CREATE TABLE upload(
  id INTEGER PRIMARY KEY, job INTEGER REFERENCES job(id) ON DELETE SET NULL, dest INTEGER NOT NULL REFERENCES dest(id),
  key BLOB NOT NULL, upload_id TEXT,        -- NULL: asked for, the answer is unknown. Some protocols have a URL in its place
  memo TEXT,                                -- what else its destination must know after a restart
  nonce TEXT NOT NULL, part_size INTEGER NOT NULL CHECK(part_size > 0), total INTEGER NOT NULL CHECK(total >= 0),
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, dev INTEGER NOT NULL, ino INTEGER NOT NULL,
  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 5), created_ns INTEGER NOT NULL
) STRICT;

CREATE INDEX upload_job ON upload(job);
CREATE UNIQUE INDEX upload_one ON upload(job) WHERE state < 4;
CREATE INDEX upload_state ON upload(state) WHERE state <> 4;
CREATE INDEX upload_uid ON upload(upload_id);

CREATE TABLE part(
  upload INTEGER NOT NULL REFERENCES upload(id) ON DELETE CASCADE, n INTEGER NOT NULL CHECK(n BETWEEN 1 AND 10000),
  size INTEGER NOT NULL CHECK(size >= 0), etag TEXT, digest BLOB, PRIMARY KEY(upload, n)
) WITHOUT ROWID, STRICT;

CREATE TABLE inbox(id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL) STRICT;
CREATE TABLE learned(endpoint TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE meta(k TEXT PRIMARY KEY, v TEXT NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE event(id INTEGER PRIMARY KEY, ns INTEGER NOT NULL, job INTEGER, fault TEXT, text TEXT NOT NULL) STRICT;
