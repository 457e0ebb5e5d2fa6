-- A condition on a hidden column that is no equation: new rows get a default that fulfils it.
-- expect: proved

CREATE TABLE task (id int PRIMARY KEY, title text NOT NULL, state text NOT NULL DEFAULT 'open', due date, done boolean NOT NULL DEFAULT false);
-- put: default task.due = '2030-01-01'
CREATE VIEW later AS SELECT id, title FROM task WHERE due > '2025-01-01' AND state <> 'closed';
