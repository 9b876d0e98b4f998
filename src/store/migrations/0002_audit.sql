-- The audit chain. AUTOINCREMENT keeps the highest number ever given, so that entries cut off the end show.
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, at_us INTEGER NOT NULL,
  name TEXT NOT NULL, uid INTEGER, login_uid INTEGER,
  action TEXT NOT NULL, subject TEXT NOT NULL, reason TEXT NOT NULL, result TEXT NOT NULL, single_person INTEGER NOT NULL,
  prev TEXT NOT NULL, hash TEXT NOT NULL
);

-- What people have settled. A decision that was taken back has an end; nothing is deleted.
CREATE TABLE decision (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject TEXT NOT NULL, sha TEXT,
  name TEXT NOT NULL, uid INTEGER, login_uid INTEGER, why TEXT NOT NULL,
  at_us INTEGER NOT NULL, until_us INTEGER, ended_us INTEGER
);
CREATE INDEX decision_open ON decision (kind, subject) WHERE ended_us IS NULL;
