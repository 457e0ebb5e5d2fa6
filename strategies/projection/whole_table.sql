-- All columns of all rows.
-- expect: proved

CREATE TABLE client (id bigint PRIMARY KEY, name text NOT NULL, address text, kind text NOT NULL DEFAULT 'private', rating numeric(4,2) NOT NULL DEFAULT 5.00);
CREATE VIEW everything AS SELECT * FROM client;
