-- Only rows with a date, which is shown.
-- expect: proved

CREATE TABLE task (id int PRIMARY KEY, title text NOT NULL, state text NOT NULL DEFAULT 'open', due date, done boolean NOT NULL DEFAULT false);
CREATE VIEW dated AS SELECT id, title, due FROM task WHERE due IS NOT NULL;
