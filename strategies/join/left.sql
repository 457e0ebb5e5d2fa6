-- A left join: NULL where nothing is found.
-- expect: proved

CREATE TABLE driver (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE ride (id int PRIMARY KEY, driver int, km int NOT NULL DEFAULT 0);
-- put: read driver
CREATE VIEW ride_list AS SELECT r.id, r.driver, d.name FROM ride r LEFT JOIN driver d ON r.driver = d.id;
