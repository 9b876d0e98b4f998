-- What is still to be done about the log of an attempt that has ended: 1 = look for its first error, 2 = pack it.
ALTER TABLE attempt ADD COLUMN log_todo INTEGER NOT NULL DEFAULT 0;
-- JSON of the first error line; null where none was found, or before it was looked for.
ALTER TABLE attempt ADD COLUMN first_error TEXT;
CREATE INDEX attempt_log_todo ON attempt (fence) WHERE log_todo != 0;
UPDATE attempt SET log_todo = 2 WHERE state = 'done' AND log_bytes >= 16384;
