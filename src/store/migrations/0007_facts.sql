-- What steps found of trees is looked for by kind, newest first.
CREATE INDEX fact_kind ON fact (kind, id);
