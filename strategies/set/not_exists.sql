-- Rows for which there is no other.
-- expect: proved

CREATE TABLE resident (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE blocked (id int PRIMARY KEY, since date);
CREATE VIEW voter AS SELECT id, name FROM resident r WHERE NOT EXISTS (SELECT 1 FROM blocked b WHERE b.id = r.id);
