PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
-- The journal of the queue, version 1. Times are wall clock ns; paths, names and keys are bytes.
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

-- What sums and walks need stands before the long columns, so that a row need not be decoded to its end.
CREATE TABLE job(
  id INTEGER PRIMARY KEY,
  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 8),
  batch INTEGER NOT NULL REFERENCES batch(id), dest INTEGER NOT NULL REFERENCES dest(id),
  pos INTEGER NOT NULL,
  size INTEGER NOT NULL CHECK(size >= 0), staged_size INTEGER, acked INTEGER NOT NULL DEFAULT 0,
  tries INTEGER NOT NULL DEFAULT 0, not_before_ns INTEGER NOT NULL DEFAULT 0,
  mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL, dev INTEGER NOT NULL, ino INTEGER NOT NULL,
  name BLOB NOT NULL, path BLOB NOT NULL, key BLOB NOT NULL,
  staged TEXT, recipe TEXT, note TEXT, fault TEXT, cause TEXT,
  stored_key BLOB,                          -- chosen by the server or an application; NULL = key
  url TEXT, etag TEXT, version TEXT, checksum TEXT, verified INTEGER NOT NULL DEFAULT 0,
  added_ns INTEGER NOT NULL, started_ns INTEGER NOT NULL DEFAULT 0, done_ns INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Each of these costs every file an entry: job_state serves the lists of views and, by destination, the work that is due.
CREATE UNIQUE INDEX job_key ON job(batch, key);
CREATE UNIQUE INDEX job_once ON job(dest, path, CASE WHEN state IN (4, 8) THEN batch ELSE 0 END);
CREATE INDEX job_state ON job(state, dest, pos);
CREATE INDEX job_retry ON job(not_before_ns) WHERE state = 0 AND not_before_ns > 0;

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
INSERT INTO dest VALUES(1,'s3://b/p','s3',NULL,'b','p/',NULL,'work');
INSERT INTO batch VALUES(1,1,X'2f7372762f70686f746f73002f7372762fff0a00','{"images":"web"}',0,7);
INSERT INTO job VALUES(1,0,1,1,1048576,1000,NULL,400,0,0,5000,6000,1,-1,X'6630',X'2f6630',X'702f6630',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1795261068872857000,0,0);
INSERT INTO job VALUES(2,5,1,1,2097152,1001,NULL,0,3,0,5001,6001,1,-2,X'6631',X'2f6631',X'702f6631',NULL,NULL,NULL,'access-denied','403 AccessDenied',NULL,NULL,NULL,NULL,NULL,0,1795261068872895000,0,0);
INSERT INTO job VALUES(3,4,1,1,3145728,1002,NULL,1002,0,0,5002,6002,1,-3,X'6632',X'2f6632',X'702f6632',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'"e"',NULL,NULL,0,1795261068872902000,0,9);
INSERT INTO job VALUES(4,0,1,1,4194304,1003,NULL,0,0,0,5003,6003,1,-4,X'6633',X'2f6633',X'702f6633',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,1795261068872906000,0,0);
INSERT INTO upload VALUES(1,1,1,X'702f66','up-1',NULL,'n',400,1000,1000,5000,6000,1,-1,1,3);
INSERT INTO part VALUES(1,1,400,'"e1"',X'089dd4e461268c8034f5c8564e155c67a6');
INSERT INTO inbox VALUES(1,'{}');
INSERT INTO learned VALUES('https://e','{}');
INSERT INTO meta VALUES('clean_exit','1');
INSERT INTO event VALUES(1,1795261068874340000,2,'access-denied','three times');
INSERT INTO sqlite_sequence VALUES('inbox',1);
COMMIT;
PRAGMA application_id=1752131955;
PRAGMA user_version=1;
