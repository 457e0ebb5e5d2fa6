-- What the government of the three-peer example shares with banks, as a view.
-- expect: proved

CREATE TABLE government_users (first_name text, last_name text, phone text, address text, birthdate date, PRIMARY KEY (first_name, last_name));
CREATE VIEW "ShareGovBank" AS SELECT first_name, last_name, phone, address FROM government_users;
