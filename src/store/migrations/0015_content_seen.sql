-- When a set last came to a content: what is old by it may go, and one that comes back is not old.
ALTER TABLE content ADD COLUMN seen_us INTEGER NOT NULL DEFAULT 0;
UPDATE content SET seen_us = first_seen_us;
