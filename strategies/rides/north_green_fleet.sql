-- The alliance keeps the vehicles of all providers in one table.
-- expect: proved

CREATE TABLE fleet (provider text, vehicle text, area text NOT NULL, request text, kind text, PRIMARY KEY (provider, vehicle));
CREATE VIEW "NorthGreen" AS SELECT vehicle AS id, area, request FROM fleet WHERE provider = 'green';
