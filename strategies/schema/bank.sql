-- The base table of a bank of the three-peer example.
CREATE TABLE bank_users (first_name text, last_name text, phone text, address text, risk_factor integer, PRIMARY KEY (first_name, last_name));
