-- What has ended ever, counted with the end itself: numbers that only grow, whatever retention removes.
CREATE TABLE ended_total (
  pipeline TEXT NOT NULL, verdict TEXT NOT NULL,
  -- Upper bound of its duration in seconds; -1 = longer than every bound.
  upto_s INTEGER NOT NULL,
  runs INTEGER NOT NULL, sum_us INTEGER NOT NULL,
  PRIMARY KEY (pipeline, verdict, upto_s)
) WITHOUT ROWID;
CREATE TABLE log_total (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL, dropped_bytes INTEGER NOT NULL);

CREATE VIEW ended_now AS
  SELECT id, pipeline, coalesce(verdict, 'lost') AS verdict, max(coalesce(ended_us - started_us, 0), 0) AS took_us FROM run WHERE state = 'done';
CREATE VIEW ended_bucket AS
  SELECT id, pipeline, verdict, took_us, CASE
    WHEN took_us <= 1000000 THEN 1 WHEN took_us <= 5000000 THEN 5 WHEN took_us <= 15000000 THEN 15 WHEN took_us <= 60000000 THEN 60
    WHEN took_us <= 300000000 THEN 300 WHEN took_us <= 900000000 THEN 900 WHEN took_us <= 1800000000 THEN 1800
    WHEN took_us <= 3600000000 THEN 3600 WHEN took_us <= 7200000000 THEN 7200 WHEN took_us <= 14400000000 THEN 14400
    WHEN took_us <= 43200000000 THEN 43200 WHEN took_us <= 86400000000 THEN 86400 ELSE -1 END AS upto_s FROM ended_now;

INSERT INTO ended_total (pipeline, verdict, upto_s, runs, sum_us)
  SELECT pipeline, verdict, upto_s, count(*), sum(took_us) FROM ended_bucket GROUP BY pipeline, verdict, upto_s;
INSERT INTO log_total (one, bytes, dropped_bytes)
  SELECT 1, coalesce(sum(log_bytes), 0), coalesce(sum(log_dropped_bytes), 0) FROM attempt WHERE state = 'done';

CREATE TRIGGER run_ended_counts AFTER UPDATE OF state ON run WHEN new.state = 'done' AND old.state != 'done' BEGIN
  INSERT INTO ended_total (pipeline, verdict, upto_s, runs, sum_us)
    SELECT pipeline, verdict, upto_s, 1, took_us FROM ended_bucket WHERE id = new.id
    ON CONFLICT (pipeline, verdict, upto_s) DO UPDATE SET runs = runs + 1, sum_us = sum_us + excluded.sum_us;
END;
CREATE TRIGGER attempt_ended_counts AFTER UPDATE OF state ON attempt
  WHEN new.state = 'done' AND old.state != 'done' AND (new.log_bytes > 0 OR new.log_dropped_bytes > 0) BEGIN
  UPDATE log_total SET bytes = bytes + new.log_bytes, dropped_bytes = dropped_bytes + new.log_dropped_bytes WHERE one = 1;
END;
