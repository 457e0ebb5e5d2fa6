-- Three tables with columns of their own, which are not shown.
-- expect: proved

CREATE TABLE provider_a (id int PRIMARY KEY, area text NOT NULL, licence text);
CREATE TABLE provider_b (id int PRIMARY KEY, area text NOT NULL, fuel int DEFAULT 0);
CREATE TABLE provider_c (id int PRIMARY KEY, area text NOT NULL);
CREATE VIEW alliance AS SELECT 'a' AS provider, id, area FROM provider_a UNION SELECT 'b', id, area FROM provider_b UNION SELECT 'c', id, area FROM provider_c;
