-- A joined table is written, and nothing that is shown says which of its rows.
-- expect: unreadable which row of customer is to change?

CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount int NOT NULL);
-- put: write customer
-- put: default orders.customer = 1
CREATE VIEW sale AS SELECT o.id, c.name, o.amount FROM orders o JOIN customer c ON o.customer = c.id;
