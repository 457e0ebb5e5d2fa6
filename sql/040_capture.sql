-- Run as role dejima. What all generated capture functions share.

SET LOCAL ROLE dejima;

-- Called by a capture function that has logged something. A client's transaction gets its decision row here;
-- the peer's own transactions have their decision elsewhere.
CREATE OR REPLACE FUNCTION dejima.open_transaction() RETURNS void
LANGUAGE plpgsql AS $dejima$
DECLARE
  has_voted boolean;
  new_gid text;
BEGIN
  IF session_user = 'dejima' THEN
    RETURN;
  END IF;
  -- Looked up by xid, never in a setting: the row goes when its savepoint is rolled back.
  SELECT t.voted INTO has_voted FROM dejima.transaction AS t WHERE t.xid = pg_current_xact_id();
  IF NOT FOUND THEN
    SELECT p.name || ':' || gen_random_uuid() INTO STRICT new_gid FROM dejima.peer AS p;
    -- Held until the outcome is visible (design: "the advisory lock is free and the row is absent, in that order").
    PERFORM pg_advisory_xact_lock(hashtextextended(new_gid, 0));
    INSERT INTO dejima.transaction (gid, xid, started) VALUES (new_gid, pg_current_xact_id(), clock_timestamp());
  ELSIF has_voted THEN
    RAISE EXCEPTION 'shared data cannot be changed after the peers have voted on this transaction'
      USING ERRCODE = '55000',
            DETAIL = 'The vote was taken early by SET CONSTRAINTS ALL IMMEDIATE, or a deferred trigger made this change after it.',
            HINT = 'Make all changes of shared data before SET CONSTRAINTS ALL IMMEDIATE, or in a transaction of their own.';
  END IF;
END
$dejima$;
REVOKE ALL ON FUNCTION dejima.open_transaction() FROM PUBLIC;

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
