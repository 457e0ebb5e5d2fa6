-- The key is not shown.
-- expect: unreadable which row of client is meant?

CREATE TABLE client (id bigint PRIMARY KEY, name text NOT NULL, address text, kind text NOT NULL DEFAULT 'private', rating numeric(4,2) NOT NULL DEFAULT 5.00);
CREATE VIEW names AS SELECT name, address FROM client;
