-- Rows are chosen by a column that is not shown: new rows get the value that is asked for.
-- expect: proved

CREATE TABLE task (id int PRIMARY KEY, title text NOT NULL, state text NOT NULL DEFAULT 'open', due date, done boolean NOT NULL DEFAULT false);
CREATE VIEW open_task AS SELECT id, title FROM task WHERE state = 'open';
