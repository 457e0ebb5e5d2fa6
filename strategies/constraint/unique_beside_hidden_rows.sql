-- A unique column, and rows that are not shown.
-- expect: proved

CREATE TABLE member (id int PRIMARY KEY, email text NOT NULL UNIQUE, level int NOT NULL);
CREATE VIEW mail AS SELECT id, email, level FROM member WHERE level > 3;
