-- A boolean column is a condition of its own.
-- expect: proved

CREATE TABLE task (id int PRIMARY KEY, title text NOT NULL, state text NOT NULL DEFAULT 'open', due date, done boolean NOT NULL DEFAULT false);
CREATE VIEW pending AS SELECT id, title, due FROM task WHERE NOT done;
