-- A pattern.
-- expect: proved

CREATE TABLE task (id int PRIMARY KEY, title text NOT NULL, state text NOT NULL DEFAULT 'open', due date, done boolean NOT NULL DEFAULT false);
CREATE VIEW bug AS SELECT id, title FROM task WHERE title LIKE 'bug:%';
