-- A join, a condition and a hidden column at once.
-- expect: proved

CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL DEFAULT 'JP', note text);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount numeric(10,2) NOT NULL DEFAULT 0, state text NOT NULL DEFAULT 'new');
-- put: read customer
CREATE VIEW new_sale AS SELECT o.id, o.customer, c.name FROM orders o JOIN customer c ON o.customer = c.id WHERE o.state = 'new';
