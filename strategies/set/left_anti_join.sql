-- The same as a left join.
-- expect: proved

CREATE TABLE resident (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE blocked (id int PRIMARY KEY, since date);
CREATE VIEW voter AS SELECT r.id, r.name FROM resident r LEFT JOIN blocked b ON b.id = r.id WHERE b.id IS NULL;
