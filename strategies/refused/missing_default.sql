-- A hidden column without a default.
-- expect: unreadable what is "branch" of a new row?

CREATE TABLE client (id int PRIMARY KEY, name text NOT NULL, branch text NOT NULL);
CREATE VIEW contact AS SELECT id, name FROM client;
