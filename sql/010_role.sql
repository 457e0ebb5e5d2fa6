-- Run by a superuser. The role that the peer alone uses, the schemas that belong to it, and plsh.
--
-- What the installer says about itself comes in settings of this transaction (README.md, "Installing"):
-- dejima.peer, dejima.helper, dejima.callback.

DO $dejima$
DECLARE
  peer constant text := current_setting('dejima.peer');
  helper constant text := current_setting('dejima.helper');
  callback constant text := current_setting('dejima.callback');
BEGIN
  IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
    RAISE EXCEPTION 'role "%" cannot install Dejima for peer "%"', current_user, peer
      USING ERRCODE = '42501', HINT = 'Install as a superuser: plsh functions can be created by no other role.';
  END IF;
  IF current_setting('server_version_num')::integer < 150000 THEN
    RAISE EXCEPTION 'peer "%" needs PostgreSQL 15 or newer, this is %', peer, current_setting('server_version')
      USING ERRCODE = '0A000', HINT = 'Use a database on a newer server.';
  END IF;
  IF current_setting('server_encoding') <> 'UTF8' THEN
    RAISE EXCEPTION 'database "%" of peer "%" has the encoding %, and Dejima needs UTF8',
      current_database(), peer, current_setting('server_encoding')
      USING ERRCODE = '0A000', HINT = 'Create the database with ENCODING ''UTF8'' TEMPLATE template0.';
  END IF;
  -- plsh splits its first line at white space, and a shell reads the other form of the call. The E form reads the
  -- same whatever standard_conforming_strings says.
  IF helper !~ '^/' OR helper || callback ~ E'[[:space:]''"\\\\]' THEN
    RAISE EXCEPTION 'the helper "%" or the address "%" of peer "%" cannot be used', helper, callback, peer
      USING ERRCODE = '22023', HINT = 'Give an absolute path, and no white space, quotes or backslashes.';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'plsh') THEN
    RAISE EXCEPTION 'plsh is missing on the server of peer "%"', peer
      USING ERRCODE = '0A000', HINT = 'Install the package that holds it (Debian: postgresql-15-plsh) and install again.';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dejima') THEN
    BEGIN
      CREATE ROLE dejima LOGIN;
    EXCEPTION WHEN unique_violation OR duplicate_object THEN
      NULL; -- Installed into another database of this server at the same moment.
    END;
  ELSIF EXISTS (SELECT FROM pg_roles WHERE rolname = 'dejima' AND (rolsuper OR NOT rolcanlogin)) THEN
    ALTER ROLE dejima LOGIN NOSUPERUSER;
  END IF;
END
$dejima$;

CREATE EXTENSION IF NOT EXISTS plsh;

-- `dejima` holds what is internal, `dejima_tables` the Dejima tables themselves.
CREATE SCHEMA IF NOT EXISTS dejima AUTHORIZATION dejima;
CREATE SCHEMA IF NOT EXISTS dejima_tables AUTHORIZATION dejima;
