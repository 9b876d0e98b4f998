-- What belongs to a decision beside its words, as JSON: answers, and the clock of a request.
ALTER TABLE decision ADD COLUMN detail TEXT NOT NULL DEFAULT '{}';
CREATE INDEX decision_subject ON decision (subject) WHERE ended_us IS NULL;

-- Spans in which a run only waited for people: they count in no average.
CREATE TABLE pause (
  run_id INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE, since_us INTEGER NOT NULL, until_us INTEGER,
  PRIMARY KEY (run_id, since_us)
) WITHOUT ROWID;
