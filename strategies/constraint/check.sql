-- A CHECK on shown columns.
-- expect: proved

CREATE TABLE account (id int PRIMARY KEY, balance numeric(12,2) NOT NULL CHECK (balance >= 0), owner text NOT NULL DEFAULT '?');
CREATE VIEW balance AS SELECT id, balance FROM account;
