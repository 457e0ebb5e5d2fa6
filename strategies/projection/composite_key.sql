-- A key of two columns.
-- expect: proved

CREATE TABLE seat (flight text, number int, passenger text, meal text DEFAULT 'none', PRIMARY KEY (flight, number));
CREATE VIEW boarding AS SELECT flight, number, passenger FROM seat;
