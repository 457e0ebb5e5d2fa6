-- Run by a superuser: only superusers may create functions in plsh. Only role dejima may execute them.
--
-- plsh starts what the first line of the body names, without a shell, with the rest of that line, the name of
-- a temporary file and the SQL arguments. If the exec itself fails, the forked child goes on as a second copy
-- of the backend, and the server goes down (seen). So the fast form (`_directly`) is used only while the helper is, by
-- size and by the second of its last change of content or mode, the file that was found to be executable; otherwise /bin/sh starts it, which
-- costs 0.6 to 1 ms more and fails in a way that plsh can report.

DO $dejima$
DECLARE
  helper constant text := current_setting('dejima.helper');
  callback constant text := current_setting('dejima.callback');
  directly constant text := format(E'#!%s %s\n', helper, callback);
  -- 010_role.sql lets no quote into these two, so a shell reads them as they are.
  by_shell constant text := format(E'#!/bin/sh\nexec ''%s'' ''%s'' "$0" "$@"\n', helper, callback);
  -- 16 slices: 1.5 MiB of arguments, and a stack limit of 8 MiB allows 2 MiB.
  slices constant text := (SELECT string_agg('slice_' || i || ' text', ', ' ORDER BY i) FROM generate_series(1, 16) AS i);
BEGIN
  EXECUTE format('CREATE OR REPLACE FUNCTION dejima.close_directly(command text, gid text, round text, parts text, capture text)
    RETURNS text LANGUAGE plsh AS %L', directly);
  EXECUTE format('CREATE OR REPLACE FUNCTION dejima.close_by_shell(command text, gid text, round text, parts text, capture text)
    RETURNS text LANGUAGE plsh AS %L', by_shell);
  EXECUTE format('CREATE OR REPLACE FUNCTION dejima.upload_directly(command text, gid text, part text, %s)
    RETURNS text LANGUAGE plsh AS %L', slices, directly);
  EXECUTE format('CREATE OR REPLACE FUNCTION dejima.upload_by_shell(command text, gid text, part text, %s)
    RETURNS text LANGUAGE plsh AS %L', slices, by_shell);

  -- Says `ok`, or what is wrong with the helper, in the eyes of the server's own OS user.
  EXECUTE format('CREATE OR REPLACE FUNCTION dejima.probe_helper() RETURNS text LANGUAGE plsh AS %L', format(
$shell$#!/bin/sh
if ! [ -f '%1$s' ]; then echo 'is no file, or cannot be seen by the OS user of the server'
elif ! [ -x '%1$s' ]; then echo 'cannot be executed by the OS user of the server'
elif [ "$(ulimit -s)" != unlimited ] && [ "$(ulimit -s)" -lt 8192 ]; then echo 'would get too small a stack: start the server with ulimit -s 8192'
else echo ok; fi
$shell$, helper));

  -- Identifies the file's present content and mode; NULL if there is no file. In plpgsql, which keeps what it has
  -- parsed and planned: a function in SQL is parsed and planned anew in each transaction.
  EXECUTE format($sql$
    CREATE OR REPLACE FUNCTION dejima.helper_state() RETURNS text
    LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %L$sql$, format(
    $body$
BEGIN
  RETURN (SELECT f.size || ' ' || extract(epoch FROM f.modification) || ' ' || extract(epoch FROM f.change)
    FROM pg_stat_file(%L, true) AS f WHERE NOT f.isdir);
END
$body$, helper));
END
$dejima$;

DO $dejima$
DECLARE
  function regprocedure;
BEGIN
  FOR function IN
    SELECT p.oid FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = 'dejima' AND p.proname IN
      ('close_directly', 'close_by_shell', 'upload_directly', 'upload_by_shell', 'probe_helper', 'helper_state')
  LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', function);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO dejima', function);
  END LOOP;
END
$dejima$;

SET LOCAL ROLE dejima;

-- Returns NULL if the helper can be started, otherwise what is wrong with it. Remembers the file that it saw, once
-- the second of the file's last change has passed: a change after that shows. (A file from the future is not
-- remembered.) So a helper that was built a moment ago makes the caller wait for up to a second.
CREATE OR REPLACE FUNCTION dejima.verify_helper() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $dejima$
DECLARE
  state text := dejima.helper_state();
  age double precision := extract(epoch FROM clock_timestamp()) - split_part(state, ' ', 3)::double precision;
  finding text;
BEGIN
  IF age BETWEEN 0 AND 1.1 THEN
    PERFORM pg_sleep(1.1 - age);
    state := dejima.helper_state();
  ELSIF age < 0 THEN
    state := NULL;
  END IF;
  finding := btrim(dejima.probe_helper(), E' \n');
  IF finding <> 'ok' OR state <> dejima.helper_state() THEN
    state := NULL;
  END IF;
  UPDATE dejima.peer SET helper_verified = state WHERE helper_verified IS DISTINCT FROM state;
  RETURN nullif(finding, 'ok');
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.verify_helper() FROM PUBLIC;

-- The one place where the callback's transport is chosen: asks the peer, returns the helper's line. What plsh
-- itself complains about (a status that is not 0, text on stderr) comes back as an answer that nobody accepts.
CREATE OR REPLACE FUNCTION dejima.call_peer(gid text, round integer, parts integer, capture text) RETURNS text
LANGUAGE plpgsql AS $dejima$
BEGIN
  IF dejima.helper_state() = (SELECT helper_verified FROM dejima.peer) THEN
    RETURN dejima.close_directly('close', gid, round::text, parts::text, capture);
  END IF;
  RETURN dejima.close_by_shell('close', gid, round::text, parts::text, capture);
EXCEPTION WHEN OTHERS THEN
  RETURN jsonb_build_object('answer', 'broken', 'line', SQLERRM);
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.call_peer(text, integer, integer, text) FROM PUBLIC;

-- Hands over the next parts of a large capture: slices 1 to 16 become parts `part` to `part` + 15.
CREATE OR REPLACE FUNCTION dejima.upload_slices(gid text, part integer, s text[]) RETURNS text
LANGUAGE plpgsql AS $dejima$
BEGIN
  IF dejima.helper_state() = (SELECT helper_verified FROM dejima.peer) THEN
    RETURN dejima.upload_directly('upload', gid, part::text,
      s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11], s[12], s[13], s[14], s[15], s[16]);
  END IF;
  RETURN dejima.upload_by_shell('upload', gid, part::text,
    s[1], s[2], s[3], s[4], s[5], s[6], s[7], s[8], s[9], s[10], s[11], s[12], s[13], s[14], s[15], s[16]);
EXCEPTION WHEN OTHERS THEN
  RETURN jsonb_build_object('answer', 'broken', 'line', SQLERRM);
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.upload_slices(text, integer, text[]) FROM PUBLIC;

RESET ROLE;
