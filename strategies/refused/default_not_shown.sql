-- The default of a hidden column would hide the new row.
-- expect: unreadable a row that is put into later would not be shown there

CREATE TABLE task (id int PRIMARY KEY, title text NOT NULL, state text NOT NULL DEFAULT 'open', due date, done boolean NOT NULL DEFAULT false);
CREATE VIEW later AS SELECT id, title FROM task WHERE state <> 'open';
