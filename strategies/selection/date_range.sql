-- A range of dates, with both ends.
-- expect: proved

CREATE TABLE task (id int PRIMARY KEY, title text NOT NULL, state text NOT NULL DEFAULT 'open', due date, done boolean NOT NULL DEFAULT false);
CREATE VIEW this_year AS SELECT id, title, due FROM task WHERE due BETWEEN '2024-01-01' AND '2024-12-31';
