-- Conditions tell the parts of a union apart.
-- expect: proved

CREATE TABLE small (id int PRIMARY KEY, amount int NOT NULL);
CREATE TABLE large (id int PRIMARY KEY, amount int NOT NULL);
CREATE VIEW payment AS SELECT id, amount FROM small WHERE amount < 1000 UNION SELECT id, amount FROM large WHERE amount >= 1000;
