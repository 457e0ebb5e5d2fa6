-- One of several constants.
-- expect: proved

CREATE TABLE task (id int PRIMARY KEY, title text NOT NULL, state text NOT NULL DEFAULT 'open', due date, done boolean NOT NULL DEFAULT false);
CREATE VIEW active AS SELECT id, title, state FROM task WHERE state IN ('open', 'waiting');
