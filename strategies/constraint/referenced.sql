-- Other rows refer to the rows shown: these cannot be deleted.
-- expect: proved

CREATE TABLE customer (id int PRIMARY KEY, name text NOT NULL, country text NOT NULL DEFAULT 'JP', note text);
CREATE TABLE orders (id int PRIMARY KEY, customer int NOT NULL REFERENCES customer, amount numeric(10,2) NOT NULL DEFAULT 0, state text NOT NULL DEFAULT 'new');
CREATE VIEW name AS SELECT id, name FROM customer WHERE country = 'JP';
