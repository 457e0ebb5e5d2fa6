-- Three tables in a chain.
-- expect: proved

CREATE TABLE country (code text PRIMARY KEY, name text NOT NULL);
CREATE TABLE city (id int PRIMARY KEY, country text NOT NULL REFERENCES country);
CREATE TABLE shop (id int PRIMARY KEY, city int NOT NULL REFERENCES city, owner text);
-- put: read city
-- put: read country
CREATE VIEW shop_list AS SELECT s.id, s.city, k.name AS country, s.owner FROM shop s JOIN city c ON s.city = c.id JOIN country k ON c.country = k.code;
