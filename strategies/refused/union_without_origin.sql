-- A union in which nobody knows where a row belongs.
-- expect: unreadable into which table is a new row of phone_book to be put?

CREATE TABLE current (name text NOT NULL, phone text);
CREATE TABLE archive (name text NOT NULL, phone text);
CREATE VIEW phone_book AS SELECT name, phone FROM current UNION SELECT name, phone FROM archive;
