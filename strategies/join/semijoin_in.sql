-- Rows whose column is in a list.
-- expect: proved

CREATE TABLE zone (name text PRIMARY KEY, is_open boolean NOT NULL);
CREATE TABLE stall (id int PRIMARY KEY, zone text NOT NULL, goods text);
CREATE VIEW open_stall AS SELECT id, zone, goods FROM stall WHERE zone IN (SELECT name FROM zone WHERE is_open);
