-- The joined table only decides which rows are shown.
-- expect: proved

CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL DEFAULT 'JP', note text);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount numeric(10,2) NOT NULL DEFAULT 0, state text NOT NULL DEFAULT 'new');
CREATE VIEW japanese AS SELECT o.id, o.customer, o.amount FROM orders o JOIN customer c ON o.customer = c.id WHERE c.country = 'JP';
