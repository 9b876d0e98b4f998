-- Promotions with their plans and gates, holds, what was laid over snapshots, verdicts on content, pointers as they were last seen.
CREATE TABLE promotion (
  id TEXT PRIMARY KEY, os TEXT NOT NULL, state TEXT NOT NULL, is_open INTEGER NOT NULL, version INTEGER NOT NULL,
  created_us INTEGER NOT NULL, json TEXT NOT NULL
);
-- One of each OS major at a time.
CREATE UNIQUE INDEX promotion_open ON promotion (os) WHERE is_open;

CREATE TABLE promotion_plan (
  promotion TEXT NOT NULL REFERENCES promotion (id), version INTEGER NOT NULL, sha TEXT NOT NULL, json TEXT NOT NULL,
  at_us INTEGER NOT NULL, why TEXT NOT NULL,
  PRIMARY KEY (promotion, version)
) WITHOUT ROWID;
CREATE TABLE gate_result (
  promotion TEXT NOT NULL REFERENCES promotion (id), version INTEGER NOT NULL, gate TEXT NOT NULL, result TEXT NOT NULL,
  detail TEXT NOT NULL, evidence TEXT NOT NULL,
  PRIMARY KEY (promotion, version, gate)
) WITHOUT ROWID;

CREATE TABLE hold (
  id INTEGER PRIMARY KEY AUTOINCREMENT, os TEXT NOT NULL, kind TEXT NOT NULL, package TEXT NOT NULL, ended_us INTEGER, json TEXT NOT NULL
);
CREATE UNIQUE INDEX hold_open ON hold (os, kind, package) WHERE ended_us IS NULL;

CREATE TABLE overlay (sha TEXT PRIMARY KEY, os TEXT NOT NULL, json TEXT NOT NULL, at_us INTEGER NOT NULL) WITHOUT ROWID;

-- Runs go by retention; what they said of content stays.
CREATE TABLE verdict (
  kind TEXT NOT NULL, fp TEXT NOT NULL, run TEXT NOT NULL, content_set TEXT NOT NULL, colour TEXT NOT NULL, at_us INTEGER NOT NULL,
  PRIMARY KEY (kind, fp, run)
) WITHOUT ROWID;
CREATE INDEX verdict_fp ON verdict (fp);

-- The link on the disk is the truth; a row is what was last seen of it.
CREATE TABLE pointer (
  root TEXT NOT NULL, name TEXT NOT NULL, os TEXT NOT NULL, dc TEXT NOT NULL, led TEXT NOT NULL, fp TEXT, seen_us INTEGER NOT NULL,
  PRIMARY KEY (root, name)
) WITHOUT ROWID;
