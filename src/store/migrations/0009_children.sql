-- Runs that stages of other runs have started, written in the transaction of the run itself.
CREATE TABLE child (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, round INTEGER NOT NULL, stage INTEGER NOT NULL, cell INTEGER NOT NULL,
  pipeline TEXT NOT NULL, number INTEGER NOT NULL, wait INTEGER NOT NULL,
  PRIMARY KEY (run_id, round, stage, cell)
) WITHOUT ROWID;
CREATE UNIQUE INDEX child_run ON child (pipeline, number);

-- Runs that a `pin:` of a pipeline has named; the mark outlives the pin.
CREATE TABLE promoted (
  run_id INTEGER PRIMARY KEY REFERENCES run (id) ON DELETE CASCADE, by_run TEXT NOT NULL, at_us INTEGER NOT NULL
);
