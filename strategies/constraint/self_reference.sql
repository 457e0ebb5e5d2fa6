-- A table that refers to itself.
-- expect: proved

CREATE TABLE employee (id int PRIMARY KEY, name text NOT NULL, boss int REFERENCES employee);
CREATE VIEW staff AS SELECT id, name, boss FROM employee;
