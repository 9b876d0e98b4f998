-- What each content set was seen to hold: one row a content. Rows outlive the runs and looks that saw it.
CREATE TABLE content (
  fp TEXT NOT NULL, content_set TEXT NOT NULL, os TEXT NOT NULL, md TEXT, compose TEXT NOT NULL DEFAULT '',
  packages INTEGER NOT NULL, size_bytes INTEGER NOT NULL, first_seen_us INTEGER NOT NULL,
  PRIMARY KEY (fp, content_set)
) WITHOUT ROWID;
CREATE INDEX content_of_set ON content (content_set, first_seen_us);

-- What looks at the places of repositories found, one row only where something changed. A place is upstream, tree, stable or a datacentre.
CREATE TABLE observation (
  id INTEGER PRIMARY KEY, repo TEXT NOT NULL, place TEXT NOT NULL, md TEXT, fp TEXT, json TEXT NOT NULL, at_us INTEGER NOT NULL
);
CREATE INDEX observation_place ON observation (repo, place, id);
