-- New rows of a union go into the table that is named.
-- expect: proved

CREATE TABLE current (name text NOT NULL, phone text NOT NULL);
CREATE TABLE archive (name text NOT NULL, phone text NOT NULL);
-- put: insert into current
CREATE VIEW phone_book AS SELECT name, phone FROM current UNION SELECT name, phone FROM archive;
