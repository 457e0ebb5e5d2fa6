-- A computed column is shown, and cannot be anything else.
-- expect: proved

CREATE TABLE item (id int PRIMARY KEY, price numeric(10,2) NOT NULL, pieces int NOT NULL, place text);
CREATE VIEW basket AS SELECT id, price, pieces, price * pieces AS total FROM item;
