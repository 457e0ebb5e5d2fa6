-- What all generated put functions share: the rows of their argument, and how they refuse. No message holds a
-- value of a row. SCHEMA = 'dejima' tells the peer that the words are ours and may travel.

-- jsonb_array_elements, but the planner expects one row of it. It expects 100 of the original, and may then read a
-- small base table from end to end for each of them, by a plan that it keeps when the table has grown. Run by a
-- superuser: PostgreSQL lets nobody else name an internal function.
CREATE OR REPLACE FUNCTION dejima.put_rows(jsonb) RETURNS SETOF jsonb
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'jsonb_array_elements';
REVOKE ALL ON FUNCTION dejima.put_rows(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dejima.put_rows(jsonb) TO dejima;

-- jsonb_to_recordset, likewise.
CREATE OR REPLACE FUNCTION dejima.put_records(jsonb) RETURNS SETOF record
LANGUAGE internal STABLE PARALLEL SAFE ROWS 1 AS 'jsonb_to_recordset';
REVOKE ALL ON FUNCTION dejima.put_records(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dejima.put_records(jsonb) TO dejima;

-- unnest, but the planner expects so many rows of it that it joins two of them by a hash where it may.
CREATE OR REPLACE FUNCTION dejima.members(anyarray) RETURNS SETOF anyelement
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE ROWS 1000 AS 'array_unnest';
REVOKE ALL ON FUNCTION dejima.members(anyarray) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dejima.members(anyarray) TO dejima;

-- The same, and the planner expects one row.
CREATE OR REPLACE FUNCTION dejima.few_members(anyarray) RETURNS SETOF anyelement
LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE ROWS 1 AS 'array_unnest';
REVOKE ALL ON FUNCTION dejima.few_members(anyarray) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dejima.few_members(anyarray) TO dejima;

SET LOCAL ROLE dejima;

-- Whether somebody else's triggers may make something of a base table's rows that was not asked for.
CREATE OR REPLACE FUNCTION dejima.is_watched(base oid) RETURNS boolean
LANGUAGE sql STABLE AS $dejima$
  WITH part AS (SELECT base AS oid UNION SELECT p.relid FROM pg_partition_tree(base::regclass) AS p)
  SELECT EXISTS (
    SELECT FROM part JOIN pg_trigger AS t ON t.tgrelid = part.oid JOIN pg_proc AS f ON f.oid = t.tgfoid
    WHERE NOT t.tgisinternal AND f.pronamespace <> 'dejima'::regnamespace
  )
$dejima$;
REVOKE ALL ON FUNCTION dejima.is_watched(oid) FROM PUBLIC;

-- Somebody else was faster: the client may try again.
CREATE OR REPLACE FUNCTION dejima.refuse_stale(dejima_table text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'conflict in Dejima table "%" at peer "%"', dejima_table, (SELECT name FROM dejima.peer)
    USING SCHEMA = 'dejima', ERRCODE = '40001', DETAIL = format('The old values are not in Dejima table "%s" any more.', dejima_table),
          HINT = 'Another transaction changed the same row. Try the transaction again.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_stale(text) FROM PUBLIC;

-- Somebody else inserted a row with this key: the client may try again.
CREATE OR REPLACE FUNCTION dejima.refuse_present(dejima_table text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'conflict in Dejima table "%" at peer "%"', dejima_table, (SELECT name FROM dejima.peer)
    USING SCHEMA = 'dejima', ERRCODE = '40001', DETAIL = format('A row with this key is in Dejima table "%s" already.', dejima_table),
          HINT = 'Another transaction inserted the same row. Try the transaction again.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_present(text) FROM PUBLIC;

-- The key is taken by a row that this Dejima table does not show: trying again does not help.
CREATE OR REPLACE FUNCTION dejima.refuse_taken(dejima_table text, base_table text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'the key is taken at peer "%" by a row that Dejima table "%" does not show',
    (SELECT name FROM dejima.peer), dejima_table
    USING SCHEMA = 'dejima', ERRCODE = '23505', DETAIL = format('Table %s has a row with this key outside the WHERE of the Dejima table.', base_table),
          HINT = 'Use another key, or ask that peer to change its row.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_taken(text, text) FROM PUBLIC;

-- A trigger of the base table dropped the row: the copies would differ.
CREATE OR REPLACE FUNCTION dejima.refuse_dropped(dejima_table text, base_table text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'peer "%" did not take a change of Dejima table "%"', (SELECT name FROM dejima.peer), dejima_table
    USING SCHEMA = 'dejima', ERRCODE = '44000', DETAIL = format('A trigger or rule of table %s dropped the row.', base_table),
          HINT = 'Ask that peer to let its trigger pass changes by role dejima, or to raise an error that says why.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_dropped(text, text) FROM PUBLIC;

-- The row as it was put does not satisfy the Dejima table's WHERE: it would vanish from the Dejima table.
CREATE OR REPLACE FUNCTION dejima.refuse_hidden(dejima_table text, base_table text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'peer "%" cannot show the changed row in Dejima table "%"', (SELECT name FROM dejima.peer), dejima_table
    USING SCHEMA = 'dejima', ERRCODE = '44000', DETAIL = format('The row in table %s does not satisfy the WHERE of the Dejima table.', base_table),
          HINT = 'The change leads out of what the peers share, or that peer''s declaration needs a default for a column of its WHERE.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_hidden(text, text) FROM PUBLIC;

-- The put names a column that this peer's Dejima table has not.
CREATE OR REPLACE FUNCTION dejima.refuse_column(dejima_table text, named text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'Dejima table "%" at peer "%" has no column "%"', dejima_table, (SELECT name FROM dejima.peer), named
    USING SCHEMA = 'dejima', ERRCODE = '42703', HINT = 'Compare `dejima tables` at both peers.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_column(text, text) FROM PUBLIC;

-- The put names a Dejima table that this peer has not.
CREATE OR REPLACE FUNCTION dejima.refuse_table(dejima_table text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'peer "%" has no Dejima table "%"', (SELECT name FROM dejima.peer), dejima_table
    USING SCHEMA = 'dejima', ERRCODE = '42P01', HINT = 'Compare `dejima tables` at both peers.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_table(text) FROM PUBLIC;

-- A constraint of the strategy: trying again does not help.
CREATE OR REPLACE FUNCTION dejima.refuse_constraint(dejima_table text, name text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'the strategy of peer "%" refuses the change of Dejima table "%"', (SELECT p.name FROM dejima.peer AS p), dejima_table
    USING SCHEMA = 'dejima', ERRCODE = '23514', DETAIL = format('It would break %s.', name),
          HINT = 'See the constraints of the strategy: dejima strategy explain.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_constraint(text, text) FROM PUBLIC;

-- The strategy does not show what was put: its put is not the inverse of its get for these rows.
CREATE OR REPLACE FUNCTION dejima.refuse_lost(dejima_table text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'peer "%" does not show in Dejima table "%" what was put into it', (SELECT name FROM dejima.peer), dejima_table
    USING SCHEMA = 'dejima', ERRCODE = '44000', DETAIL = 'A trigger of a base table dropped or changed a row, or the strategy cannot put this change.',
          HINT = 'Let triggers pass changes by role dejima, and check the strategy: dejima strategy check.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_lost(text) FROM PUBLIC;

-- Two rows under one key. Returns, in name, what a condition is.
CREATE OR REPLACE FUNCTION dejima.refuse_alike(dejima_table text) RETURNS boolean
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'two rows of Dejima table "%" at peer "%" would have one key', dejima_table, (SELECT name FROM dejima.peer)
    USING SCHEMA = 'dejima', ERRCODE = '23505', DETAIL = 'Its strategy does not keep its key.',
          HINT = 'Check the strategy: dejima strategy check.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_alike(text) FROM PUBLIC;

RESET ROLE;
