-- Each part of a union shows a constant of its own.
-- expect: proved

CREATE TABLE bus (id int PRIMARY KEY, seats int);
CREATE TABLE taxi (id int PRIMARY KEY, seats int);
CREATE VIEW fleet AS SELECT 'bus' AS kind, id, seats FROM bus UNION ALL SELECT 'taxi', id, seats FROM taxi;
