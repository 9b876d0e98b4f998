-- Written and never read: the link on the disk says where a pointer leads, and a plan says what was laid over its snapshot.
DROP TABLE pointer;
DROP TABLE overlay;
