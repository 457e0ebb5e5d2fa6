-- NOT IN with NULL is never true.
-- expect: unreadable NOT IN is never true where a NULL is in the list

CREATE TABLE stall (id int PRIMARY KEY, zone text);
CREATE TABLE closed (zone text);
CREATE VIEW open_stall AS SELECT id, zone FROM stall WHERE zone NOT IN (SELECT zone FROM closed);
