-- Run as role dejima. The state that a peer keeps in its database.

SET LOCAL ROLE dejima;

-- One row: whose database this is.
CREATE TABLE IF NOT EXISTS dejima.peer (
  one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
  name text NOT NULL,
  version integer NOT NULL,
  helper text NOT NULL,
  callback text NOT NULL,
  -- What dejima.helper_state() said when the helper was last found to be executable (030_callback.sql).
  helper_verified text,
  incarnation bigint NOT NULL DEFAULT 0,
  -- Which peer has seen a later start of this one than was counted here: the database was put back to an earlier
  -- state. Stays until the operator has compared the rows, and says so by setting it to NULL.
  overtaken_by jsonb
);
ALTER TABLE dejima.peer ADD COLUMN IF NOT EXISTS overtaken_by jsonb;

DO $dejima$
DECLARE
  owner constant text := (SELECT name FROM dejima.peer);
BEGIN
  IF owner <> current_setting('dejima.peer') THEN
    RAISE EXCEPTION 'database "%" belongs to peer "%", not to peer "%"',
      current_database(), owner, current_setting('dejima.peer')
      USING ERRCODE = '55000',
            HINT = 'Use another database, or the name that this one has. A database never changes its peer: gids carry the name.';
  END IF;
END
$dejima$;

INSERT INTO dejima.peer (name, version, helper, callback)
VALUES (current_setting('dejima.peer'), 11, current_setting('dejima.helper'), current_setting('dejima.callback'))
ON CONFLICT (one_row) DO UPDATE
SET version = excluded.version, helper = excluded.helper, callback = excluded.callback, helper_verified = NULL;

-- What a running transaction changed in the Dejima tables; taken out by the hook or by the peer before the
-- transaction ends. Unlogged: it is of no use to any other transaction. Not temporary: a transaction that
-- touched a temporary table cannot be prepared. What an earlier version left here was of no use either.
DO $dejima$
BEGIN
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('dejima.delta') AND attname = 'old' AND atttypid <> 'text'::regtype) THEN
    DROP TABLE dejima.delta;
  END IF;
END
$dejima$;
CREATE UNLOGGED TABLE IF NOT EXISTS dejima.delta (
  xid xid8 NOT NULL,
  statement bigint NOT NULL,
  -- How many triggers deep the statement ran (040_capture.sql orders by it).
  depth integer NOT NULL,
  dejima_table text NOT NULL,
  -- Rows of one statement come in sections, counted from 0. A section begins where the one before ends, in all Dejima
  -- tables of a base table at the same row; one in which a Dejima table has no change is left out.
  section bigint NOT NULL,
  -- A line for each column, with the values of all rows as literals, apart by commas. A row of nulls is none. An empty
  -- line of `new` stands for the values that `old` has. NULL for what is new, or gone, as a whole.
  old text,
  new text
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
-- A section is written once and read once: in the page as long as it fits, and never compressed.
ALTER TABLE dejima.delta ALTER old SET STORAGE EXTERNAL, ALTER new SET STORAGE EXTERNAL;
-- In the order in which the hook takes it: nothing is sorted.
CREATE INDEX IF NOT EXISTS delta_place ON dejima.delta (xid, statement, section, dejima_table);

-- What a running transaction changed in base tables of strategies over several of them, or with rules of their own; taken
-- out by the functions that find what that is in the Dejima tables.
-- What an earlier version left here was of no use to any other transaction.
DO $dejima$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('dejima.pending') AND attname = 'section') THEN
    DROP TABLE IF EXISTS dejima.pending;
  END IF;
END
$dejima$;
CREATE UNLOGGED TABLE IF NOT EXISTS dejima.pending (
  xid xid8 NOT NULL,
  statement bigint NOT NULL,
  depth integer NOT NULL,
  -- The number of the Dejima table.
  dejima_table integer NOT NULL,
  -- The number of the base table in the strategy.
  relation integer NOT NULL,
  -- As in dejima.delta.
  section bigint NOT NULL,
  -- An array for each column, with the values of all rows as texts. NULL for what is new, or gone, as a whole.
  old text[],
  new text[]
) WITH (toast_tuple_target = 8160, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
ALTER TABLE dejima.pending ALTER old SET STORAGE EXTERNAL, ALTER new SET STORAGE EXTERNAL;
-- In the order in which it is read.
CREATE INDEX IF NOT EXISTS pending_section_place ON dejima.pending (xid, dejima_table, relation, statement, section);

-- Orders the statements of one transaction. One session runs it, so numbers cached by the session rise too. The
-- gaps are for statements that turn out to be earlier than others (040_capture.sql).
CREATE SEQUENCE IF NOT EXISTS dejima.statement INCREMENT BY 1000 START WITH 1000 CACHE 64;

-- The decision rows: visible means that the client's transaction committed. There is no other decision.
CREATE TABLE IF NOT EXISTS dejima.transaction (
  gid text PRIMARY KEY,
  xid xid8 NOT NULL UNIQUE,
  started timestamptz NOT NULL,
  -- The hook has had its answer; nothing may be captured after it.
  voted boolean NOT NULL DEFAULT false,
  participants text[] NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- Participants that adopted further participants: visible with COMMIT PREPARED, so presumed abort holds for them.
CREATE TABLE IF NOT EXISTS dejima.participant (
  gid text PRIMARY KEY,
  children text[] NOT NULL
);

-- Prepared transactions that the operator ended before their decision was known (`dejima tx resolve`). A note goes
-- when the decision turns out to be the same; a contradicted one stays until somebody has mended the rows.
CREATE TABLE IF NOT EXISTS dejima.resolution (
  gid text PRIMARY KEY,
  parent text NOT NULL,
  children text[] NOT NULL,
  decision text NOT NULL CHECK (decision IN ('commit', 'abort')),
  resolved timestamptz NOT NULL DEFAULT now(),
  contradicted_by text CHECK (contradicted_by IN ('commit', 'abort'))
);

-- The declared Dejima tables. The id names the generated functions: names of any length, no collisions.
CREATE TABLE IF NOT EXISTS dejima.dejima_table (
  id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE
);

-- Families of rows of Dejima tables that several base rows make together, by a number that a hash gives. A transaction changes
-- the rows of those that it touches, so that of two that could miss each other one waits, or is refused with 40001 if it
-- cannot see what the other did.
CREATE TABLE IF NOT EXISTS dejima.family (
  dejima_table integer NOT NULL,
  number integer NOT NULL,
  touched bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (dejima_table, number)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- The SQL that was generated last, and what removes it.
CREATE TABLE IF NOT EXISTS dejima.generated (
  part text PRIMARY KEY,
  creating text NOT NULL,
  removing text NOT NULL
);

-- What was generated, and relied on, before `dejima strategy apply` changed it last: what its --undo goes back to. What an
-- earlier version kept is nothing that this one could go back to.
DO $dejima$
BEGIN
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('dejima.applied') AND attname = 'keys') THEN
    DROP TABLE dejima.applied;
  END IF;
END
$dejima$;
CREATE TABLE IF NOT EXISTS dejima.applied (
  one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
  at timestamptz NOT NULL DEFAULT now(),
  -- The rows of dejima.generated.
  parts jsonb NOT NULL,
  -- What was chosen of dejima.shape (070_guard.sql): the oid of the base table, and what.
  chosen text[] NOT NULL
);

-- What the generated SQL relies on in base tables, as it was when the peer declared its Dejima tables (070_guard.sql).
CREATE TABLE IF NOT EXISTS dejima.shape (
  base_table oid NOT NULL,
  what text NOT NULL,
  value text NOT NULL,
  PRIMARY KEY (base_table, what)
);

-- What this peer knows of others, over a restart.
CREATE TABLE IF NOT EXISTS dejima.fact (
  peer text NOT NULL,
  dejima_table text NOT NULL,
  fact jsonb NOT NULL,
  PRIMARY KEY (peer, dejima_table)
);

RESET ROLE;
