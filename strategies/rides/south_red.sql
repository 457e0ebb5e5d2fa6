-- Red keeps cabs and vans in two tables, and offers both to the alliance of the south alone.
-- expect: proved

CREATE TABLE cab (id text PRIMARY KEY, area text NOT NULL, request text);
CREATE TABLE van (id text PRIMARY KEY, area text NOT NULL, request text, seats int NOT NULL DEFAULT 8);
CREATE VIEW "SouthRed" AS SELECT id, area, request, 'cab' AS kind FROM cab UNION ALL SELECT id, area, request, 'van' FROM van;
