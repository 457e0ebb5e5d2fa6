-- A text that is put together, with NULL in it.
-- expect: proved

CREATE TABLE person (id int PRIMARY KEY, first text NOT NULL, last text);
CREATE VIEW card AS SELECT id, first, last, first || ' ' || coalesce(last, '-') AS label FROM person;
