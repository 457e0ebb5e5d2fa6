-- Hidden columns keep their values; in new rows they get their defaults.
-- expect: proved

CREATE TABLE client (id bigint PRIMARY KEY, name text NOT NULL, address text, kind text NOT NULL DEFAULT 'private', rating numeric(4,2) NOT NULL DEFAULT 5.00);
CREATE VIEW contact AS SELECT id, name, address FROM client;
