-- The difference of two tables; NULL is the same as NULL.
-- expect: proved

CREATE TABLE offered (course text PRIMARY KEY, room text);
CREATE TABLE cancelled (course text NOT NULL, room text);
CREATE VIEW held AS SELECT course, room FROM offered EXCEPT SELECT course, room FROM cancelled;
