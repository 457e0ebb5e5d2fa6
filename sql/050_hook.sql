-- Run as role dejima. The deferred hook: asks the peer whether the client's transaction may commit.

SET LOCAL ROLE dejima;

-- Raises the error for a peer that gave no usable answer: fail closed.
CREATE OR REPLACE FUNCTION dejima.refuse_unusable(why text) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION 'the local peer "%" gave no usable answer', (SELECT name FROM dejima.peer)
    USING ERRCODE = '08006', DETAIL = left(why, 500),
          HINT = 'Nothing was changed anywhere. See that the peer runs, and that its helper '
            || (SELECT helper FROM dejima.peer) || ' can be executed by the database server.';
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse_unusable(text) FROM PUBLIC;

-- Raises the error that the peer answered with, under its own SQLSTATE.
CREATE OR REPLACE FUNCTION dejima.refuse(answer jsonb) RETURNS void
LANGUAGE plpgsql AS $dejima$
BEGIN
  RAISE EXCEPTION USING
    ERRCODE = CASE WHEN answer->>'sqlstate' ~ '^[0-9A-Z]{5}$' AND answer->>'sqlstate' !~ '^0[0-3]' THEN answer->>'sqlstate' ELSE '08006' END,
    MESSAGE = coalesce(nullif(answer->>'message', ''), 'the change is refused'),
    DETAIL = coalesce(nullif(answer->>'detail', ''), format('Refused by peer "%s".', answer->>'peer')),
    HINT = coalesce(answer->>'hint', '');
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.refuse(jsonb) FROM PUBLIC;

-- Reads the helper's line; NULL if it is not a JSON object with an answer.
CREATE OR REPLACE FUNCTION dejima.read_answer(line text) RETURNS jsonb
LANGUAGE plpgsql AS $dejima$
DECLARE
  answer jsonb;
BEGIN
  answer := line::jsonb;
  RETURN CASE WHEN jsonb_typeof(answer) = 'object' AND answer ? 'answer' THEN answer END;
EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
  RETURN NULL;
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.read_answer(text) FROM PUBLIC;

-- Where a character of UTF-8 begins: at this place (from 0), or up to three bytes later.
CREATE OR REPLACE FUNCTION dejima.character_start(bytes bytea, place integer) RETURNS integer
LANGUAGE plpgsql AS $dejima$
BEGIN
  WHILE place < octet_length(bytes) AND get_byte(bytes, place) BETWEEN 128 AND 191 LOOP
    place := place + 1;
  END LOOP;
  RETURN place;
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.character_start(bytea, integer) FROM PUBLIC;

-- Hands a chunk over ahead of the question, in slices of about 96 KiB at most (one argument may have 128 KiB), cut
-- between characters. Returns the number of parts that the peer then has.
CREATE OR REPLACE FUNCTION dejima.upload(gid text, parts integer, chunk text) RETURNS integer
LANGUAGE plpgsql AS $dejima$
DECLARE
  bytes constant bytea := convert_to(chunk, 'UTF8');
  length constant bigint := octet_length(bytes);
  slices_total constant bigint := (length + 16 * 98304 - 1) / (16 * 98304) * 16;
  slices text[] := '{}';
  start integer := 0;
  stop integer;
  line text;
BEGIN
  FOR nth IN 1 .. slices_total LOOP
    stop := dejima.character_start(bytes, (length * nth / slices_total)::integer);
    slices := array_append(slices, convert_from(substring(bytes FROM start + 1 FOR stop - start), 'UTF8'));
    start := stop;
    CONTINUE WHEN nth % 16 <> 0;
    line := dejima.upload_slices(gid, parts, slices);
    IF dejima.read_answer(line)->>'answer' IS DISTINCT FROM 'uploaded' THEN
      IF dejima.read_answer(line)->>'answer' = 'refused' THEN
        PERFORM dejima.refuse(dejima.read_answer(line));
      END IF;
      PERFORM dejima.refuse_unusable('It answered an upload with: ' || coalesce(dejima.read_answer(line)->>'line', line, 'nothing'));
    END IF;
    slices := '{}';
    parts := parts + 16;
  END LOOP;
  RETURN parts;
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.upload(text, integer, text) FROM PUBLIC;

-- Takes what the transaction captured and puts the question. NULL if there is nothing to ask. The sections come one by
-- one, in the order of the index, and leave in chunks of about 1 MiB; a longer one is a chunk of its own.
CREATE OR REPLACE FUNCTION dejima.ask_peer(gid text, round integer) RETURNS jsonb
LANGUAGE plpgsql AS $dejima$
DECLARE
  -- A cursor fetches no section ahead.
  log CURSOR FOR
    SELECT concat(json_build_array(d.statement, d.section, d.dejima_table), E'\n', d.old, E';\n', d.new, E';\n') AS text
    FROM dejima.delta AS d WHERE d.xid = pg_current_xact_id()
    ORDER BY d.xid, d.statement, d.section, d.dejima_table;
  parts integer := 0;
  chunk text[] := '{}';
  size bigint := 0;
  capture text;
  line text;
BEGIN
  PERFORM dejima.derive();
  FOR section IN log LOOP
    IF size > 0 AND size + octet_length(section.text) > 1048576 THEN
      parts := dejima.upload(gid, parts, array_to_string(chunk, ''));
      chunk := '{}';
      size := 0;
    END IF;
    chunk := array_append(chunk, section.text);
    size := size + octet_length(section.text);
  END LOOP;
  IF size = 0 AND round = 0 THEN
    RETURN NULL;
  END IF;
  DELETE FROM dejima.delta AS d WHERE d.xid = pg_current_xact_id();
  capture := array_to_string(chunk, '');
  IF size > 98304 THEN
    parts := dejima.upload(gid, parts, capture);
    capture := '';
  END IF;
  line := dejima.call_peer(gid, round, parts, capture);
  RETURN coalesce(dejima.read_answer(line), jsonb_build_object('answer', 'broken', 'line', coalesce(line, '')));
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.ask_peer(text, integer) FROM PUBLIC;

-- The hook. It ends in one of three ways: voted (the client's own COMMIT then decides), nothing shared (the
-- decision row goes), or an error.
CREATE OR REPLACE FUNCTION dejima.hook() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC'
-- By index, also when the plan was made while the log was empty.
SET enable_seqscan = off SET jit = off
SET extra_float_digits = 3 SET bytea_output = 'hex' SET lc_monetary = 'C'
AS $dejima$
DECLARE
  -- For each batch: a large transaction has many, and each may bring changes back.
  rounds_max constant integer := 16;
  rounds_left integer := rounds_max;
  batch text;
  answer jsonb;
BEGIN
  -- After SET CONSTRAINTS ALL IMMEDIATE it is called within the client's first statement, or by a trigger that said so: it
  -- is put off to COMMIT. (Whoever made the decision row could see to it in advance; that costs every transaction 50 us.)
  IF pg_trigger_depth() > 1 THEN
    SET CONSTRAINTS dejima.hook DEFERRED;
    DELETE FROM dejima.transaction AS t WHERE t.gid = NEW.gid;
    INSERT INTO dejima.transaction (gid, xid, started) VALUES (NEW.gid, NEW.xid, NEW.started);
    RETURN NULL;
  END IF;
  FOR round IN 0 .. 2147483646 LOOP
    answer := dejima.ask_peer(NEW.gid, round);
    CASE
      WHEN answer IS NULL OR answer->>'answer' = 'unshared' THEN
        DELETE FROM dejima.transaction AS t WHERE t.gid = NEW.gid;
        RETURN NULL;
      WHEN answer->>'answer' = 'voted' AND jsonb_typeof(answer->'participants') = 'array' THEN
        UPDATE dejima.transaction AS t
        SET voted = true, participants = ARRAY(SELECT jsonb_array_elements_text(answer->'participants'))
        WHERE t.gid = NEW.gid;
        -- The decision must be durable before anybody can see it.
        IF current_setting('synchronous_commit') IN ('off', 'local') THEN
          PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
        RETURN NULL;
      WHEN answer->>'answer' = 'apply' AND jsonb_typeof(answer->'puts') = 'array' THEN
        IF batch IS DISTINCT FROM answer->>'batch' THEN
          batch := answer->>'batch';
          rounds_left := rounds_max;
        END IF;
        EXIT WHEN rounds_left = 0;
        rounds_left := rounds_left - 1;
        PERFORM dejima.put(answer->'puts');
      WHEN answer->>'answer' = 'refused' THEN
        PERFORM dejima.refuse(answer);
      ELSE
        PERFORM dejima.refuse_unusable('It answered: ' || CASE answer->>'line' WHEN '' THEN 'nothing' ELSE coalesce(answer->>'line', answer::text) END);
    END CASE;
  END LOOP;
  PERFORM dejima.refuse_unusable(format('Its answers still changed the transaction after %s rounds.', rounds_max));
  RETURN NULL;
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.hook() FROM PUBLIC;

DO $dejima$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'dejima.transaction'::regclass AND tgname = 'hook') THEN
    CREATE CONSTRAINT TRIGGER hook AFTER INSERT ON dejima.transaction
      DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dejima.hook();
  END IF;
END
$dejima$;

RESET ROLE;
