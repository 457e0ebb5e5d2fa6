-- A CHECK that compares a shown column with a hidden one.
-- expect: proved

CREATE TABLE loan (id int PRIMARY KEY, lent int NOT NULL, ceiling int NOT NULL DEFAULT 100, CHECK (lent <= ceiling));
CREATE VIEW lent AS SELECT id, lent FROM loan;
