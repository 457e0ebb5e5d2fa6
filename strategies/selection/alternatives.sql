-- Alternatives, of which one may be NULL.
-- expect: proved

CREATE TABLE task (id int PRIMARY KEY, title text NOT NULL, state text NOT NULL DEFAULT 'open', due date, done boolean NOT NULL DEFAULT false);
CREATE VIEW now AS SELECT id, title, state, due FROM task WHERE state = 'urgent' OR due <= '2024-06-30';
