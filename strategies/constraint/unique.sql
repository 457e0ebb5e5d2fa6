-- A second unique column, which may be NULL.
-- expect: proved

CREATE TABLE member (id int PRIMARY KEY, email text UNIQUE, joined date DEFAULT '2024-01-01');
CREATE VIEW mail AS SELECT id, email FROM member;
