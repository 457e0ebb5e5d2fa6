-- Rows are chosen by a column that is shown: others are refused.
-- expect: proved

CREATE TABLE task (id int PRIMARY KEY, title text NOT NULL, state text NOT NULL DEFAULT 'open', due date, done boolean NOT NULL DEFAULT false);
CREATE VIEW urgent AS SELECT id, title, due FROM task WHERE due < '2025-01-01';
