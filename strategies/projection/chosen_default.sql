-- A default that the table does not have is chosen.
-- expect: proved

CREATE TABLE client (id int PRIMARY KEY, name text NOT NULL, branch text NOT NULL);
-- put: default client.branch = 'Nagasaki'
CREATE VIEW contact AS SELECT id, name FROM client;
