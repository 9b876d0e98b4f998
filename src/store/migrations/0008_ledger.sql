-- The ledger of scheduled starts: one row for each time at which a trigger was due. Rows outlive the runs that they name.
CREATE TABLE occurrence (
  pipeline TEXT NOT NULL, trigger TEXT NOT NULL, scheduled_us INTEGER NOT NULL,
  outcome TEXT NOT NULL, cause TEXT NOT NULL, why TEXT NOT NULL, run_number INTEGER, decided_us INTEGER NOT NULL,
  -- People were told that it is late.
  told INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (pipeline, trigger, scheduled_us)
) WITHOUT ROWID;
CREATE INDEX occurrence_time ON occurrence (scheduled_us);
CREATE INDEX occurrence_untold ON occurrence (scheduled_us) WHERE told = 0 AND run_number IS NOT NULL;

-- Triggers that the scheduler knows. One that is not here owes nothing.
CREATE TABLE trigger_state (
  pipeline TEXT NOT NULL, trigger TEXT NOT NULL, digest TEXT NOT NULL, spec TEXT NOT NULL,
  since_us INTEGER NOT NULL, cursor_us INTEGER NOT NULL, note TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (pipeline, trigger)
) WITHOUT ROWID;

-- Calendars as they were whole last: what holds while a file is broken.
CREATE TABLE calendar (name TEXT PRIMARY KEY, text TEXT NOT NULL, at_us INTEGER NOT NULL) WITHOUT ROWID;
