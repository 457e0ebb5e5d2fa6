-- A join by key: the other table is written, too.
-- expect: proved

CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL DEFAULT 'JP', note text);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount numeric(10,2) NOT NULL DEFAULT 0, state text NOT NULL DEFAULT 'new');
-- put: write customer
CREATE VIEW sale AS SELECT o.id, o.customer, c.name, o.amount FROM orders o JOIN customer c ON o.customer = c.id;
