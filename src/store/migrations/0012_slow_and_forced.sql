-- Since when a run takes longer than nearly all good ones before it, and what it passed then.
ALTER TABLE run ADD COLUMN slow_us INTEGER;
ALTER TABLE run ADD COLUMN slow_limit_ms INTEGER;

-- Runs that a person ended because their attempts could not be.
CREATE TABLE forced (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, round INTEGER NOT NULL,
  who TEXT NOT NULL, why TEXT NOT NULL, at_us INTEGER NOT NULL,
  PRIMARY KEY (run_id, round)
) WITHOUT ROWID;
