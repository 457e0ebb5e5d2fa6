-- Types of all kinds are copied.
-- expect: proved

CREATE TABLE parcel (id uuid PRIMARY KEY, content jsonb, weight numeric(10,3), sent timestamp with time zone, insured boolean, size int4range, labels text[], stamp bytea, until interval, note text);
CREATE VIEW tracking AS SELECT id, content, weight, sent, insured, size, labels, stamp, until FROM parcel;
