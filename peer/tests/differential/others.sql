-- What depot and agency note of the rows that puts insert and delete in their base tables, to tell an update from a deletion and an insertion
-- under the same key, which leaves the same rows (invariant 8). Keys are compared as texts: 3 is another key than 3.0.

CREATE TABLE noted (xid xid8, base_table text, key text, is_there boolean);

CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
  noted_row constant jsonb := CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
BEGIN
  INSERT INTO noted
  SELECT pg_current_xact_id(), TG_TABLE_NAME, jsonb_object_agg(name, noted_row->name)::text, TG_OP = 'INSERT' FROM unnest(TG_ARGV) AS name;
  RETURN NULL;
END
$$;
