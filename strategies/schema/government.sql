-- The base table of declarations.
CREATE TABLE government_users (id int PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL, phone text, address text, birthdate date, kind text NOT NULL DEFAULT 'citizen');
