-- A sum cannot be put back.
-- expect: unreadable GROUP BY cannot be taken into a strategy

CREATE TABLE item (id int PRIMARY KEY, shop text NOT NULL, price int NOT NULL);
CREATE VIEW total AS SELECT shop, max(price) AS dearest FROM item GROUP BY shop;
