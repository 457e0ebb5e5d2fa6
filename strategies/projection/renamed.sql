-- Names in mixed case, with spaces, and keywords.
-- expect: proved

CREATE TABLE "Client List" ("Id" int PRIMARY KEY, "Full Name" text NOT NULL, "order" text);
CREATE VIEW "Contact" AS SELECT "Id" AS "Number", "Full Name", "order" AS "not" FROM "Client List";
