-- Runs, their parts, attempts, locks. Times are microseconds since 1970 UTC.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta (key, value) VALUES ('epoch', 0), ('fence', 0);

CREATE TABLE epoch (
  id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, boot_id TEXT NOT NULL, version TEXT NOT NULL,
  started_us INTEGER NOT NULL, ended_us INTEGER
);

-- The newest number of each pipeline; never lowered, whatever is deleted.
CREATE TABLE pipeline (name TEXT PRIMARY KEY, last_number INTEGER NOT NULL) WITHOUT ROWID;

-- Frozen plans, shared by runs that have the same one.
CREATE TABLE plan (sha256 TEXT PRIMARY KEY, json TEXT NOT NULL);

CREATE TABLE run (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  pipeline TEXT NOT NULL, number INTEGER NOT NULL, title TEXT NOT NULL,
  state TEXT NOT NULL, verdict TEXT, detail TEXT NOT NULL DEFAULT '',
  exit_code INTEGER, failed_stage TEXT, failed_step TEXT,
  requested_by TEXT NOT NULL, actor TEXT NOT NULL, reason TEXT NOT NULL, trigger TEXT NOT NULL, cause TEXT UNIQUE,
  replay_of TEXT, priority INTEGER NOT NULL, group_name TEXT,
  plan_sha256 TEXT NOT NULL REFERENCES plan (sha256),
  created_us INTEGER NOT NULL, started_us INTEGER, ended_us INTEGER,
  -- The run's limit counts from here: its start, or its last resume.
  limit_us INTEGER, limit_boot_us INTEGER, limit_boot_id TEXT,
  cancel_by TEXT, cancel_why TEXT, cancel_us INTEGER, cancel_force INTEGER NOT NULL DEFAULT 0,
  timed_out INTEGER NOT NULL DEFAULT 0,
  fp_before TEXT, fp_after TEXT,
  round INTEGER NOT NULL DEFAULT 0,
  UNIQUE (pipeline, number)
);
CREATE INDEX run_open ON run (id) WHERE state != 'done';
CREATE INDEX run_group ON run (group_name) WHERE state != 'done' AND group_name IS NOT NULL;
CREATE INDEX run_ended ON run (pipeline, ended_us) WHERE state = 'done';
CREATE INDEX run_plan ON run (plan_sha256);

CREATE TABLE stage (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, stage INTEGER NOT NULL,
  name TEXT NOT NULL, state TEXT NOT NULL, verdict TEXT, blocked INTEGER NOT NULL DEFAULT 0, detail TEXT NOT NULL DEFAULT '',
  started_us INTEGER, ended_us INTEGER,
  PRIMARY KEY (run_id, stage)
) WITHOUT ROWID;

CREATE TABLE step (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, stage INTEGER NOT NULL, cell INTEGER NOT NULL, step INTEGER NOT NULL,
  cell_key TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, verdict TEXT, detail TEXT NOT NULL DEFAULT '', exit_code INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0, not_before_us INTEGER, started_us INTEGER, ended_us INTEGER, fence INTEGER,
  PRIMARY KEY (run_id, stage, cell, step)
) WITHOUT ROWID;

CREATE TABLE attempt (
  fence INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, token TEXT NOT NULL,
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, stage INTEGER NOT NULL, cell INTEGER NOT NULL, step INTEGER NOT NULL,
  number INTEGER NOT NULL, epoch INTEGER NOT NULL, state TEXT NOT NULL, verdict TEXT,
  code INTEGER, signal INTEGER, detail TEXT NOT NULL DEFAULT '',
  claimed_us INTEGER NOT NULL, started_us INTEGER, ended_us INTEGER, dir TEXT NOT NULL,
  log_bytes INTEGER NOT NULL DEFAULT 0, log_dropped_bytes INTEGER NOT NULL DEFAULT 0, log_sha256 TEXT NOT NULL DEFAULT '',
  max_rss_kib INTEGER NOT NULL DEFAULT 0, cpu_us INTEGER NOT NULL DEFAULT 0, left_running TEXT NOT NULL DEFAULT '[]',
  -- Times that the end was ingested: 1 in a sound engine, whatever was killed when.
  ingests INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX attempt_open ON attempt (fence) WHERE state != 'done';
CREATE INDEX attempt_step ON attempt (run_id, stage, cell, step);

CREATE TABLE held_lock (
  name TEXT NOT NULL, run_id INTEGER NOT NULL REFERENCES run (id), stage INTEGER NOT NULL,
  mode TEXT NOT NULL, slots INTEGER NOT NULL, since_us INTEGER NOT NULL,
  PRIMARY KEY (name, run_id, stage)
) WITHOUT ROWID;

CREATE TABLE output (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, stage INTEGER NOT NULL, cell INTEGER NOT NULL, step INTEGER NOT NULL,
  name TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (run_id, stage, cell, step, name)
) WITHOUT ROWID;

CREATE TABLE fact (
  id INTEGER PRIMARY KEY, run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, fence INTEGER NOT NULL,
  kind TEXT NOT NULL, json TEXT NOT NULL, at_us INTEGER NOT NULL
);
CREATE INDEX fact_run ON fact (run_id);

CREATE TABLE artifact (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, stage INTEGER NOT NULL, cell INTEGER NOT NULL, step INTEGER NOT NULL,
  path TEXT NOT NULL, sha256 TEXT NOT NULL, size_bytes INTEGER NOT NULL,
  PRIMARY KEY (run_id, path)
) WITHOUT ROWID;
CREATE INDEX artifact_sha ON artifact (sha256);

CREATE TABLE reading (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, content_set TEXT NOT NULL, side TEXT NOT NULL,
  fp TEXT, md TEXT, detail TEXT NOT NULL, at_us INTEGER NOT NULL,
  PRIMARY KEY (run_id, content_set, side)
) WITHOUT ROWID;

CREATE TABLE pin (
  run_id INTEGER PRIMARY KEY REFERENCES run (id), who TEXT NOT NULL, why TEXT NOT NULL, at_us INTEGER NOT NULL
);

-- Ended runs that upstream triggers have not looked at yet.
CREATE TABLE unoffered (run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, round INTEGER NOT NULL, PRIMARY KEY (run_id, round)) WITHOUT ROWID;
