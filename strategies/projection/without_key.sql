-- A table without a key is a set of rows.
-- expect: proved

CREATE TABLE reading (sensor text NOT NULL, at timestamp NOT NULL, value double precision NOT NULL);
CREATE VIEW measured AS SELECT sensor, at, value FROM reading;
