-- What the generated SQL relies on in a base table, and the event triggers that refuse to take it away. Without them a
-- renamed column would make every write fail, and a trigger that is disabled or dropped would let writes escape.

SET LOCAL ROLE dejima;

-- How these base tables are at this moment, a row for each thing that the generated SQL relies on or that is in its way.
-- What is in its way is called an obstacle, and may go.
CREATE OR REPLACE FUNCTION dejima.shape_of(base_tables oid[])
RETURNS TABLE (base_table oid, what text, value text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $dejima$
  WITH base AS (
    SELECT c.* FROM pg_class AS c WHERE c.oid = ANY (base_tables)
  ), view AS (
    SELECT DISTINCT b.oid AS base, v.oid, v.relname, d.refobjsubid AS attnum
    FROM base AS b
    JOIN pg_depend AS d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = b.oid AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite AS r ON r.oid = d.objid
    JOIN pg_class AS v ON v.oid = r.ev_class AND v.relnamespace = to_regnamespace('dejima_tables')
  )
  SELECT b.oid, 'name', b.oid::regclass::text FROM base AS b
  UNION ALL
  SELECT a.attrelid, 'column ' || a.attnum, format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
  FROM pg_attribute AS a
  WHERE NOT a.attisdropped AND (a.attrelid, a.attnum) IN (SELECT v.base, v.attnum FROM view AS v WHERE v.attnum > 0)
  UNION ALL
  SELECT DISTINCT v.base, 'view ' || v.relname, md5(pg_get_viewdef(v.oid)) FROM view AS v
  UNION ALL
  SELECT b.oid, 'trigger ' || t.tgname, CASE WHEN t.tgenabled IN ('O', 'A') THEN 'enabled' ELSE 'disabled' END
  FROM base AS b JOIN pg_trigger AS t ON t.tgrelid = b.oid
  WHERE t.tgfoid IN (SELECT to_regproc(format('dejima.capture_%s_%s', b.oid, e))
    FROM unnest(ARRAY['insert', 'update', 'delete', 'truncate']) AS e)
  UNION ALL
  SELECT DISTINCT i.indrelid, format('unique key (%s)', (
    SELECT string_agg(a.attname, ', ' ORDER BY k.at)
    FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(attnum, at)
    JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.at <= i.indnkeyatts)), 'valid'
  FROM base AS b JOIN pg_index AS i ON i.indrelid = b.oid
  WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
  UNION ALL
  SELECT b.oid, 'obstacle: inheritance', 'statement triggers do not see writes to a parent or a child'
  FROM base AS b WHERE EXISTS (SELECT FROM pg_inherits AS i WHERE b.oid IN (i.inhparent, i.inhrelid))
  UNION ALL
  SELECT b.oid, 'obstacle: not logged', 'its rows would not survive a crash' FROM base AS b WHERE b.relpersistence <> 'p'
  UNION ALL
  SELECT b.oid, 'obstacle: row-level security', 'it would hide rows from role "dejima", which has not BYPASSRLS'
  FROM base AS b WHERE row_security_active(b.oid)
  UNION ALL
  SELECT a.attrelid, format('obstacle: column %I', a.attname),
    'it is NOT NULL, has no default and is in no Dejima table: what others insert could not be stored'
  FROM base AS b JOIN pg_attribute AS a ON a.attrelid = b.oid
  WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = ''
    AND NOT EXISTS (SELECT FROM pg_type AS t WHERE t.oid = a.atttypid AND t.typdefault IS NOT NULL)
    AND a.attnum NOT IN (SELECT v.attnum FROM view AS v WHERE v.base = b.oid)
$dejima$;
REVOKE ALL ON FUNCTION dejima.shape_of(oid[]) FROM PUBLIC;

-- The peer itself may change everything: it notes the new shape when it has declared its Dejima tables.
CREATE OR REPLACE FUNCTION dejima.guard() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $dejima$
DECLARE
  change record;
  base_tables constant oid[] := CASE WHEN session_user = 'dejima' THEN '{}' ELSE ARRAY(SELECT DISTINCT s.base_table FROM dejima.shape AS s) END;
BEGIN
  IF base_tables = '{}' THEN
    RETURN;
  END IF;
  SELECT base_table AS oid, what, was.value AS was, now.value AS now INTO change
  FROM dejima.shape AS was FULL JOIN dejima.shape_of(base_tables) AS now USING (base_table, what)
  WHERE was.value IS DISTINCT FROM now.value
    AND CASE
      WHEN what LIKE 'obstacle: %' THEN now.value IS NOT NULL
      -- Only those that serve as keys were noted.
      WHEN what LIKE 'unique key %' THEN was.value IS NOT NULL
      ELSE true END
  -- What says most comes first: with another view other columns are relied on, and with another name of a column the view
  -- is another.
  ORDER BY CASE
    WHEN what = 'name' THEN 1
    WHEN what LIKE 'view %' AND now.value IS NULL THEN 2
    WHEN what LIKE 'column %' AND was.value IS NOT NULL AND now.value IS NOT NULL THEN 3
    WHEN what LIKE 'view %' THEN 4
    ELSE 5 END, what
  LIMIT 1;
  IF NOT FOUND THEN
    RETURN;
  END IF;
  RAISE EXCEPTION '% is refused: base table % is shared', tg_tag,
      (SELECT s.value FROM dejima.shape AS s WHERE s.base_table = change.oid AND s.what = 'name')
    USING ERRCODE = '55006',
      DETAIL = CASE
        WHEN change.was IS NULL AND change.what LIKE 'obstacle: %' THEN format('%s: %s.', substr(change.what, 11), change.now)
        WHEN change.now IS NULL AND change.what LIKE 'column %' THEN format('Column %s is shown by a Dejima table.', change.was)
        WHEN change.what LIKE 'view %' THEN format('View "%s" is the Dejima table itself.', substr(change.what, 6))
        WHEN change.now IS NULL THEN format('Dejima tables rely on: %s.', CASE change.what WHEN 'name' THEN 'the table' ELSE change.what END)
        ELSE format('Dejima tables rely on: %s. It would be: %s.',
          CASE WHEN change.what LIKE 'column %' OR change.what = 'name' THEN change.was ELSE change.what || ' ' || change.was END, change.now)
        END,
      HINT = format('Take %s out of the configuration of peer "%s" and restart the peer; then make the change, declare what '
        'the table is then, and restart the peer again.',
        (SELECT string_agg(format('Dejima table "%s"', substr(s.what, 6)), ' and ' ORDER BY s.what)
          FROM dejima.shape AS s WHERE s.base_table = change.oid AND s.what LIKE 'view %'),
        (SELECT p.name FROM dejima.peer AS p));
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.guard() FROM PUBLIC;

RESET ROLE;

-- Made anew, so that one that was disabled works again.
DROP EVENT TRIGGER IF EXISTS dejima_guard;
DROP EVENT TRIGGER IF EXISTS dejima_guard_drop;
CREATE EVENT TRIGGER dejima_guard ON ddl_command_end
  WHEN TAG IN ('ALTER TABLE', 'ALTER TRIGGER', 'ALTER SCHEMA', 'ALTER VIEW', 'ALTER INDEX', 'CREATE TABLE', 'CREATE FOREIGN TABLE', 'CREATE VIEW')
  EXECUTE FUNCTION dejima.guard();
CREATE EVENT TRIGGER dejima_guard_drop ON sql_drop EXECUTE FUNCTION dejima.guard();
