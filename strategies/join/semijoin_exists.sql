-- Rows for which there is another.
-- expect: proved

CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL DEFAULT 'JP', note text);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount numeric(10,2) NOT NULL DEFAULT 0, state text NOT NULL DEFAULT 'new');
CREATE VIEW buyer AS SELECT id, name FROM customer c WHERE EXISTS (SELECT 1 FROM vip WHERE vip.customer = c.id);
CREATE TABLE vip (customer int PRIMARY KEY);
