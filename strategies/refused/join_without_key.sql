-- A join by columns that are no key.
-- expect: unreadable this join is not by a key

CREATE TABLE a (id int PRIMARY KEY, town text NOT NULL);
CREATE TABLE b (id int PRIMARY KEY, town text NOT NULL);
CREATE VIEW neighbours AS SELECT a.id AS one, b.id AS other FROM a JOIN b ON a.town = b.town;
