-- From version 1 to 2: several objects of one file. The table is rebuilt, so that what sums need stands before the long columns.

CREATE TABLE job_2(
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

INSERT INTO job_2(id,state,batch,dest,pos,size,staged_size,acked,tries,not_before_ns,mtime_ns,ctime_ns,dev,ino,name,path,key,staged,recipe,note,
  fault,cause,stored_key,url,etag,version,checksum,verified,added_ns,started_ns,done_ns,prepared)
SELECT id,state,batch,dest,pos,size,staged_size,acked,tries,not_before_ns,mtime_ns,ctime_ns,dev,ino,name,path,key,staged,recipe,note,
  fault,cause,stored_key,url,etag,version,checksum,verified,added_ns,started_ns,done_ns,
  recipe IS NOT NULL OR staged IS NOT NULL FROM job;
DROP TABLE job;
ALTER TABLE job_2 RENAME TO job;

CREATE UNIQUE INDEX job_key ON job(batch, key);
CREATE UNIQUE INDEX job_once ON job(dest, path, CASE WHEN state IN (4, 8) THEN batch ELSE 0 END);
CREATE INDEX job_state ON job(state, dest, pos);
CREATE INDEX job_retry ON job(not_before_ns) WHERE state = 0 AND not_before_ns > 0;

CREATE TABLE object(
  job INTEGER NOT NULL REFERENCES job(id) ON DELETE CASCADE, n INTEGER NOT NULL CHECK(n >= 0),
  batch INTEGER NOT NULL, name TEXT NOT NULL, key BLOB NOT NULL, size INTEGER NOT NULL CHECK(size >= 0),
  staged TEXT, recipe TEXT,
  state INTEGER NOT NULL CHECK(state BETWEEN 0 AND 2),
  stored_key BLOB, url TEXT, etag TEXT, version TEXT, checksum TEXT, verified INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY(job, n)
) WITHOUT ROWID, STRICT;

CREATE UNIQUE INDEX object_key ON object(batch, key);
