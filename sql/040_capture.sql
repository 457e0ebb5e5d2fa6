-- Run as role dejima. What all generated capture functions share.

SET LOCAL ROLE dejima;

-- The rows of one side of a section, each as an array of literals; `other` has the columns that this side leaves empty.
DROP FUNCTION IF EXISTS dejima.rows(text[]);
CREATE OR REPLACE FUNCTION dejima.rows(side text, other text) RETURNS SETOF text[]
LANGUAGE sql IMMUTABLE AS $dejima$
  WITH token AS (
    SELECT s.mine, t.match[1] AS text, t.place,
      count(*) FILTER (WHERE t.match[1] = E'\n') OVER (PARTITION BY s.mine ORDER BY t.place) AS of_column
    FROM (VALUES (true, side), (false, other)) AS s(mine, text),
      regexp_matches(s.text, E'(E?''(?:[^'']|'''')*''|NULL|\n)', 'g') WITH ORDINALITY AS t(match, place)
  ), cell AS (
    SELECT t.mine, t.text, t.of_column, row_number() OVER (PARTITION BY t.mine, t.of_column ORDER BY t.place) AS of_row
    FROM token AS t WHERE t.text <> E'\n'
  )
  SELECT array_agg(c.text ORDER BY c.of_column) FROM cell AS c
  WHERE c.mine OR c.of_column NOT IN (SELECT m.of_column FROM cell AS m WHERE m.mine)
  GROUP BY c.of_row HAVING bool_or(c.text <> 'NULL')
$dejima$;
REVOKE ALL ON FUNCTION dejima.rows(text, text) FROM PUBLIC;

-- Numbers the statement just logged below those that its own triggers ran on the rows it had made. PostgreSQL
-- ends these first, so their captures have lower numbers, although an AFTER trigger changes what the statement left.
-- (What a BEFORE trigger changed is not made by the statement: its order is right as it is.)
CREATE OR REPLACE FUNCTION dejima.order_statement() RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_nestloop = off SET enable_hashjoin = on SET jit = off
-- Planning takes longer than looking at a few rows.
SET plan_cache_mode = force_generic_plan
AS $dejima$
DECLARE
  mine constant bigint := currval('dejima.statement');
  statement_depth constant integer := pg_trigger_depth();
  before bigint;
  first bigint;
BEGIN
  SELECT d.statement INTO before FROM dejima.delta AS d
  WHERE d.xid = pg_current_xact_id() AND d.statement < mine AND d.depth <= statement_depth
  ORDER BY d.statement DESC LIMIT 1;
  before := coalesce(before, 0);
  -- Each section is taken apart once.
  WITH made AS MATERIALIZED (
    SELECT d.dejima_table, r.image FROM dejima.delta AS d, dejima.rows(d.new, d.old) AS r(image)
    WHERE d.xid = pg_current_xact_id() AND d.statement = mine
  ), later AS MATERIALIZED (
    SELECT d.statement, d.dejima_table, r.image FROM dejima.delta AS d, dejima.rows(d.old, NULL) AS r(image)
    WHERE d.xid = pg_current_xact_id() AND d.statement > before AND d.statement < mine
  )
  SELECT min(later.statement) INTO first FROM made JOIN later USING (dejima_table, image);
  -- They are accounted for now.
  UPDATE dejima.delta AS d SET depth = statement_depth
  WHERE d.xid = pg_current_xact_id() AND d.statement > before AND d.depth > statement_depth;
  IF first IS NOT NULL THEN
    UPDATE dejima.delta AS d SET statement = first - 1 WHERE d.xid = pg_current_xact_id() AND d.statement = mine;
  END IF;
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.order_statement() FROM PUBLIC;

-- Called by a capture function that has logged something. A client's transaction gets its decision row here;
-- the peer's own transactions have their decision elsewhere.
CREATE OR REPLACE FUNCTION dejima.open_transaction() RETURNS void
LANGUAGE plpgsql
-- By index, also when the plan was made while there were few decision rows.
SET enable_seqscan = off
AS $dejima$
DECLARE
  has_voted boolean;
  new_gid text;
  -- In milliseconds, in hexadecimal.
  now_text text;
  depth constant integer := pg_trigger_depth();
  -- A mere hint that a trigger's own statement was captured before: most transactions have none to order.
  deepest constant integer := coalesce(nullif(current_setting('dejima.depth', true), ''), '1')::integer;
BEGIN
  IF deepest > depth THEN
    PERFORM dejima.order_statement();
  END IF;
  IF deepest <> depth THEN
    PERFORM set_config('dejima.depth', depth::text, true);
  END IF;
  IF session_user = 'dejima' THEN
    RETURN;
  END IF;
  -- Looked up by xid, never in a setting: the row goes when its savepoint is rolled back.
  SELECT t.voted INTO has_voted FROM dejima.transaction AS t WHERE t.xid = pg_current_xact_id();
  IF NOT FOUND THEN
    -- A UUID of version 7: later ones are greater, so all of them go to one page of the index, not each to another.
    now_text := lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0');
    INSERT INTO dejima.transaction (gid, xid, started)
    SELECT p.name || ':' || overlay(overlay(gen_random_uuid()::text PLACING '7' FROM 15) PLACING left(now_text, 8) || '-' || right(now_text, 4) FROM 1),
      pg_current_xact_id(), clock_timestamp() FROM dejima.peer AS p WHERE p.one_row
    RETURNING gid INTO STRICT new_gid;
    -- Held until the outcome is visible (design: "the advisory lock is free and the row is absent, in that order").
    -- Nobody knows the gid yet, nor sees the row.
    PERFORM pg_advisory_xact_lock(hashtextextended(new_gid, 0));
  ELSIF has_voted THEN
    RAISE EXCEPTION 'shared data cannot be changed after the peers have voted on this transaction'
      USING ERRCODE = '55000',
            DETAIL = 'The vote was taken early by SET CONSTRAINTS ALL IMMEDIATE, or a deferred trigger made this change after it.',
            HINT = 'Make all changes of shared data before SET CONSTRAINTS ALL IMMEDIATE, or in a transaction of their own.';
  END IF;
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.open_transaction() FROM PUBLIC;

DROP FUNCTION IF EXISTS dejima.images(text[]);

-- TRUNCATE removes also rows that the transaction's snapshot does not show; they could not be captured.
CREATE OR REPLACE FUNCTION dejima.check_truncate(base_table text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    RAISE EXCEPTION 'TRUNCATE of % cannot be shared in a % transaction', base_table, current_setting('transaction_isolation')
      USING ERRCODE = '0A000', HINT = 'Use DELETE, or TRUNCATE in a READ COMMITTED transaction.';
  END IF;
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.check_truncate(text) FROM PUBLIC;

RESET ROLE;
