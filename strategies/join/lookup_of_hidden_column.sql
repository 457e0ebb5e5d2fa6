-- The column joined by is not shown; it is found by what is shown, which is unique.
-- This is the example of vehicles and areas of Asano et al., section 6, with what it lacked: unknown areas are refused.
-- expect: proved

CREATE TABLE area_map (location int PRIMARY KEY, area text NOT NULL UNIQUE);
CREATE TABLE vehicle (id int PRIMARY KEY, location int NOT NULL REFERENCES area_map, request int);
-- put: read area_map
CREATE VIEW public_vehicle AS SELECT v.id, a.area, v.request FROM vehicle v JOIN area_map a USING (location);
