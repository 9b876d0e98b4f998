-- Test reports: one row an attempt that left any. `seen` is domain::junit::Seen; `problems` and `slowest` are JSON lists.
CREATE TABLE test_report (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, stage INTEGER NOT NULL, cell INTEGER NOT NULL, step INTEGER NOT NULL,
  fence INTEGER NOT NULL, passed INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL, flaky INTEGER NOT NULL,
  duration_ms INTEGER NOT NULL, flaky_after INTEGER NOT NULL, problems TEXT NOT NULL, slowest TEXT NOT NULL, seen BLOB NOT NULL,
  PRIMARY KEY (run_id, fence)
);
CREATE TABLE test_failure (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, fence INTEGER NOT NULL, seq INTEGER NOT NULL,
  suite TEXT NOT NULL, test TEXT NOT NULL, kind TEXT NOT NULL, message TEXT NOT NULL, trace TEXT NOT NULL, duration_ms INTEGER NOT NULL,
  PRIMARY KEY (run_id, fence, seq)
) WITHOUT ROWID;

-- Files of other runs that a run was frozen with. `used_us`: a step had them.
CREATE TABLE input (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, seq INTEGER NOT NULL, stage INTEGER NOT NULL,
  of_pipeline TEXT NOT NULL, of_number INTEGER NOT NULL, path TEXT NOT NULL, place TEXT NOT NULL, sha256 TEXT NOT NULL,
  size_bytes INTEGER NOT NULL, used_us INTEGER,
  PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;
CREATE INDEX input_sha ON input (sha256);
-- Runs that a run depends on: kept while it is open or pinned.
CREATE TABLE run_use (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, pipeline TEXT NOT NULL, number INTEGER NOT NULL,
  PRIMARY KEY (run_id, pipeline, number)
) WITHOUT ROWID;
CREATE INDEX run_use_of ON run_use (pipeline, number);
-- Runs that retention is removing: nothing may begin to depend on one.
CREATE TABLE doomed (run_id INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE);

CREATE INDEX reading_fp ON reading (fp) WHERE fp IS NOT NULL;
-- What moved since the run of its pipeline before it: `none`, or a list; NULL = nobody can say.
ALTER TABLE run ADD COLUMN changes TEXT;
