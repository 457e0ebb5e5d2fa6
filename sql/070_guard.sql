-- What the generated SQL relies on in a base table, and the event triggers that refuse to take it away. Without them a
-- renamed column would make every write fail, and a trigger that is disabled or dropped would let writes escape.

SET LOCAL ROLE dejima;

-- Where the changes of a base table are captured: in the table and in all its partitions, which clients may name as well.
-- A TRUNCATE fires the triggers of each partition; of the partitioned table itself there is nothing to truncate.
CREATE OR REPLACE FUNCTION dejima.capture_points(base_table oid)
RETURNS TABLE (relation oid, event text, trigger text, state "char")
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $dejima$
  SELECT c.oid, e.event, t.tgname::text, t.tgenabled
  FROM pg_class AS c
  CROSS JOIN unnest(ARRAY['insert', 'update', 'delete', 'truncate']) AS e(event)
  LEFT JOIN pg_trigger AS t ON t.tgrelid = c.oid AND t.tgfoid = to_regproc(format('dejima.capture_%s_%s', base_table, e.event))
  WHERE c.oid IN (SELECT base_table UNION SELECT p.relid FROM pg_partition_tree(base_table) AS p)
    AND (e.event <> 'truncate' OR c.relkind <> 'p')
$dejima$;
REVOKE ALL ON FUNCTION dejima.capture_points(oid) FROM PUBLIC;

-- What is noted only where the peer says that a Dejima table relies on it.
CREATE OR REPLACE FUNCTION dejima.is_chosen(what text) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp AS $dejima$
  SELECT what ~ '^(unique key|hidden column|constraint|NULL in column|NULL or a default in column|NOT NULL of column|given column|rows put)( |$)'
$dejima$;
REVOKE ALL ON FUNCTION dejima.is_chosen(text) FROM PUBLIC;

-- How these base tables are at this moment, a row for each thing that the generated SQL relies on or that is in its way.
-- What is in its way is called an obstacle, and may go. A constraint is called by what it says: its name may change.
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
  ), "column" AS (
    SELECT b.oid, a.attname, a.attnum, a.attnotnull, a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS has_default
    FROM base AS b JOIN pg_attribute AS a ON a.attrelid = b.oid JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attnum > 0 AND NOT a.attisdropped
  )
  SELECT b.oid, 'name', b.oid::regclass::text FROM base AS b
  UNION ALL
  SELECT a.attrelid, 'column ' || a.attnum, format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod))
  FROM pg_attribute AS a
  WHERE NOT a.attisdropped AND (a.attrelid, a.attnum) IN (SELECT v.base, v.attnum FROM view AS v WHERE v.attnum > 0)
  UNION ALL
  SELECT a.attrelid, 'hidden column ' || a.attname, format_type(a.atttypid, a.atttypmod)
  FROM base AS b JOIN pg_attribute AS a ON a.attrelid = b.oid
  WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attnum NOT IN (SELECT v.attnum FROM view AS v WHERE v.base = b.oid)
  UNION ALL
  SELECT c.oid, format('%s column %s', w.what, c.attname), 'it may be'
  FROM "column" AS c CROSS JOIN LATERAL (VALUES
    ('NULL in', NOT c.attnotnull), ('NULL or a default in', NOT c.attnotnull OR c.has_default), ('NOT NULL of', c.attnotnull),
    ('given', true)) AS w(what, holds)
  WHERE w.holds
  UNION ALL
  SELECT b.oid, 'rows put', 'by other peers' FROM base AS b
  UNION ALL
  SELECT DISTINCT c.conrelid, 'constraint ' || pg_get_constraintdef(c.oid), 'valid'
  FROM base AS b JOIN pg_constraint AS c ON c.conrelid = b.oid
  WHERE c.contype IN ('c', 'f') AND c.convalidated
  UNION ALL
  SELECT DISTINCT v.base, 'view ' || v.relname, md5(pg_get_viewdef(v.oid)) FROM view AS v
  UNION ALL
  SELECT b.oid, 'trigger ' || p.trigger || CASE WHEN p.relation <> b.oid THEN ' of partition ' || p.relation ELSE '' END,
    CASE WHEN p.state IN ('O', 'A') THEN 'enabled' ELSE 'disabled' END
  FROM base AS b CROSS JOIN dejima.capture_points(b.oid) AS p WHERE p.trigger IS NOT NULL
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
  FROM base AS b
  WHERE EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = b.oid OR i.inhparent = b.oid AND b.relkind <> 'p')
  UNION ALL
  SELECT b.oid, 'obstacle: not logged', 'its rows would not survive a crash'
  FROM base AS b
  WHERE EXISTS (SELECT FROM dejima.capture_points(b.oid) AS p JOIN pg_class AS c ON c.oid = p.relation WHERE c.relpersistence <> 'p')
  UNION ALL
  SELECT b.oid, 'obstacle: row-level security', 'it would hide rows from role "dejima", which has not BYPASSRLS'
  FROM base AS b WHERE row_security_active(b.oid)
  UNION ALL
  SELECT c.oid, 'obstacle: column ' || c.attname,
    'it is NOT NULL, has no default and is in no Dejima table: what others insert could not be stored'
  FROM "column" AS c
  WHERE c.attnotnull AND NOT c.has_default AND c.attnum NOT IN (SELECT v.attnum FROM view AS v WHERE v.base = c.oid)
$dejima$;
REVOKE ALL ON FUNCTION dejima.shape_of(oid[]) FROM PUBLIC;

-- A partition is noted by its oid, which stays when it gets another name.
CREATE OR REPLACE FUNCTION dejima.spell(what text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $dejima$
  SELECT coalesce(substring(what FROM '^(.* of partition )\d+$') || substring(what FROM ' of partition (\d+)$')::oid::regclass, what)
$dejima$;
REVOKE ALL ON FUNCTION dejima.spell(text) FROM PUBLIC;

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
  PERFORM dejima.follow_partitions(b.base_table) FROM unnest(base_tables) AS b(base_table);
  SELECT base_table AS oid, what, was.value AS was, now.value AS now INTO change
  FROM dejima.shape AS was FULL JOIN dejima.shape_of(base_tables) AS now USING (base_table, what)
  WHERE was.value IS DISTINCT FROM now.value
    AND CASE
      -- Where nobody inserts rows, and where all who do give the column a value, it stands in nobody's way.
      WHEN what LIKE 'obstacle: column %' THEN now.value IS NOT NULL
        AND (base_table, 'rows put') IN (SELECT s.base_table, s.what FROM dejima.shape AS s)
        AND (base_table, 'given' || substr(what, 10)) NOT IN (SELECT s.base_table, s.what FROM dejima.shape AS s)
      WHEN what LIKE 'obstacle: %' THEN now.value IS NOT NULL
      WHEN what LIKE 'given column %' THEN false
      -- A column that has another name now, or is gone, is another matter.
      WHEN what ~ '^(NULL|NOT NULL) .* column ' THEN was.value IS NOT NULL AND EXISTS (SELECT FROM pg_attribute AS a
        WHERE a.attrelid = base_table AND a.attname = regexp_replace(what, '^(NULL in|NULL or a default in|NOT NULL of) column ', ''))
      WHEN dejima.is_chosen(what) THEN was.value IS NOT NULL
      ELSE true END
  -- What says most comes first: with another view other columns are relied on, and with another name of a column the view
  -- is another.
  ORDER BY CASE
    WHEN what = 'name' THEN 1
    WHEN what LIKE 'view %' AND now.value IS NULL THEN 2
    WHEN what LIKE 'column %' AND was.value IS NOT NULL AND now.value IS NOT NULL THEN 3
    WHEN what LIKE 'view %' THEN 4
    -- One goes with the key that it refers to.
    WHEN what LIKE 'constraint %' THEN 6
    WHEN what ~ '^(NULL|NOT NULL) ' THEN 7
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
        WHEN change.now IS NULL THEN format('Dejima tables rely on: %s.', CASE change.what WHEN 'name' THEN 'the table' ELSE dejima.spell(change.what) END)
        ELSE format('Dejima tables rely on: %s. It would be: %s.',
          CASE WHEN change.what LIKE 'column %' OR change.what = 'name' THEN change.was ELSE dejima.spell(change.what) || ' ' || change.was END, change.now)
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

-- Owned by the superuser who installs: a partition belongs to whoever makes it, and may be made while the peer is away.
-- Creates the capture triggers of one relation of a base table that are not there.
CREATE OR REPLACE FUNCTION dejima.make_capture_triggers(base_table oid, relation oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $dejima$
DECLARE
  point record;
BEGIN
  IF NOT has_table_privilege('dejima', base_table, 'TRIGGER') THEN
    RAISE EXCEPTION 'role "dejima" lacks TRIGGER on base table %', base_table::regclass USING ERRCODE = '42501';
  END IF;
  FOR point IN
    SELECT p.event, CASE p.event WHEN 'truncate' THEN 'BEFORE TRUNCATE' ELSE 'AFTER ' || upper(p.event) END AS moment,
      CASE p.event
        WHEN 'insert' THEN 'REFERENCING NEW TABLE AS dejima_new'
        WHEN 'update' THEN 'REFERENCING OLD TABLE AS dejima_old NEW TABLE AS dejima_new'
        WHEN 'delete' THEN 'REFERENCING OLD TABLE AS dejima_old' END AS tables
    FROM dejima.capture_points(base_table) AS p WHERE p.relation = make_capture_triggers.relation AND p.trigger IS NULL
  LOOP
    EXECUTE format('CREATE TRIGGER dejima_capture_%s %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION dejima.capture_%s_%s()',
      point.event, point.moment, relation::regclass, point.tables, base_table, point.event);
  END LOOP;
  -- Who may read the partitioned table may read what a TRUNCATE takes from a partition.
  IF relation <> base_table AND has_table_privilege('dejima', base_table, 'SELECT')
    AND EXISTS (SELECT FROM pg_partition_tree(base_table) AS p WHERE p.relid = relation) THEN
    EXECUTE format('GRANT SELECT ON %s TO dejima', relation::regclass);
  END IF;
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.make_capture_triggers(oid, oid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dejima.make_capture_triggers(oid, oid) TO dejima;

-- A partition that comes or goes empty is none of the peers' business: it gets its triggers, or loses them. Rows that came
-- or went with it would reach nobody. It is never a foreign table: PostgreSQL allows none beside the unique key.
CREATE OR REPLACE FUNCTION dejima.follow_partitions(base_table oid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $dejima$
DECLARE
  noted constant oid[] := ARRAY(SELECT DISTINCT substring(s.what FROM ' of partition (\d+)$')::oid FROM dejima.shape AS s
    WHERE s.base_table = follow_partitions.base_table AND s.what LIKE 'trigger % of partition %');
  present constant oid[] := ARRAY(SELECT p.relid FROM pg_partition_tree(base_table) AS p WHERE p.relid <> base_table);
  partition oid;
  has_rows boolean;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = base_table AND c.relkind = 'p') THEN
    RETURN;
  END IF;
  FOR partition IN SELECT unnest(present) EXCEPT SELECT unnest(noted) LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', partition::regclass) INTO has_rows;
    IF has_rows THEN
      RAISE EXCEPTION 'partition % is refused: base table % is shared, and it has rows already', partition::regclass, base_table::regclass
        USING ERRCODE = '55006', DETAIL = 'They would be in the Dejima tables here and nowhere else.',
          HINT = 'Attach it empty, then INSERT the rows.';
    END IF;
    PERFORM dejima.make_capture_triggers(base_table, partition);
    INSERT INTO dejima.shape
    SELECT s.* FROM dejima.shape_of(ARRAY[base_table]) AS s WHERE s.what LIKE 'trigger % of partition ' || partition;
  END LOOP;
  FOR partition IN SELECT unnest(noted) EXCEPT SELECT unnest(present) LOOP
    has_rows := NULL;
    IF EXISTS (SELECT FROM pg_class AS c WHERE c.oid = partition) THEN
      EXECUTE format('SELECT EXISTS (SELECT FROM %s)', partition::regclass) INTO has_rows;
    END IF;
    IF has_rows IS DISTINCT FROM false THEN
      RAISE EXCEPTION 'a partition cannot be dropped, nor detached with its rows: base table % is shared', base_table::regclass
        USING ERRCODE = '55006', DETAIL = 'Its rows would stay in the Dejima tables of the other peers.',
          HINT = 'DELETE its rows or TRUNCATE it, then DETACH PARTITION, then drop it.';
    END IF;
    -- First, because DROP TRIGGER leads here again.
    DELETE FROM dejima.shape AS s
    WHERE s.base_table = follow_partitions.base_table AND s.what LIKE 'trigger % of partition ' || partition;
    EXECUTE (SELECT string_agg(format('DROP TRIGGER %I ON %s', t.tgname, partition::regclass), ';')
      FROM pg_trigger AS t WHERE t.tgrelid = partition AND t.tgfoid IN (
        SELECT to_regproc(format('dejima.capture_%s_%s', base_table, e)) FROM unnest(ARRAY['insert', 'update', 'delete', 'truncate']) AS e));
    EXECUTE format('REVOKE SELECT ON %s FROM dejima', partition::regclass);
  END LOOP;
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.follow_partitions(oid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION dejima.follow_partitions(oid) TO dejima;

-- Made anew, so that one that was disabled works again.
DROP EVENT TRIGGER IF EXISTS dejima_guard;
DROP EVENT TRIGGER IF EXISTS dejima_guard_drop;
CREATE EVENT TRIGGER dejima_guard ON ddl_command_end
  WHEN TAG IN ('ALTER TABLE', 'ALTER TRIGGER', 'ALTER SCHEMA', 'ALTER VIEW', 'ALTER INDEX', 'CREATE TABLE', 'CREATE VIEW')
  EXECUTE FUNCTION dejima.guard();
CREATE EVENT TRIGGER dejima_guard_drop ON sql_drop EXECUTE FUNCTION dejima.guard();
