//! Role dejima: that it is who it must be, may what it must, and that others may not what it may.

use deadpool_postgres::Client;
use tokio_postgres::{Error, Row};

use super::{DeclaredTable, Finding, or_ok, read_only};
use crate::strategy::identifier;

pub(super) const CHECK: &str = "role";

const ROLE: &str = "
SELECT session_user::text, r.rolsuper, r.rolcanlogin, r.rolbypassrls,
  ARRAY(SELECT n.nspname::text FROM pg_namespace AS n
    WHERE n.nspname IN ('dejima', 'dejima_tables') AND n.nspowner <> r.oid ORDER BY 1),
  EXISTS (SELECT FROM unnest($1::text[]) AS name CROSS JOIN LATERAL parse_ident(name) AS p(part)
    JOIN pg_namespace AS n ON n.nspname = p.part[1]
    JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.part[2] WHERE c.relrowsecurity)
FROM pg_roles AS r WHERE r.rolname = 'dejima'";

/// By name, without a cast to regclass: that raises an error where the schema may not be used.
const RIGHTS: &str = "
SELECT t.name, n.nspname::text, c.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'USAGE'), false),
  ARRAY(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRIGGER']) WITH ORDINALITY AS u(p, at)
    WHERE c.oid IS NOT NULL AND (t.is_written OR p IN ('SELECT', 'TRIGGER')) AND NOT has_table_privilege(c.oid, p) ORDER BY at),
  coalesce(row_security_active(c.oid), false)
FROM (SELECT u.name, bool_or(u.is_written) AS is_written FROM unnest($1::text[], $2::boolean[]) AS u(name, is_written) GROUP BY 1) AS t
CROSS JOIN LATERAL parse_ident(t.name) AS p(part)
LEFT JOIN pg_namespace AS n ON n.nspname = p.part[1]
LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.part[2]
ORDER BY 1";

const PUBLIC: &str = "
SELECT p.oid::regprocedure::text FROM pg_proc AS p
WHERE p.pronamespace = 'dejima'::regnamespace AND has_function_privilege('public', p.oid, 'EXECUTE') ORDER BY 1";

pub(super) async fn examine(
    client: &mut Client,
    tables: &[DeclaredTable],
) -> Result<Vec<Finding>, Error> {
    let transaction = read_only(client).await?;
    let used = tables.iter().flat_map(|table| &table.base_tables);
    let (names, are_written): (Vec<_>, Vec<_>) = used
        .map(|used| (used.name.as_str(), used.is_written))
        .unzip();
    let role = transaction.query_opt(ROLE, &[&names]).await?;
    let rights = transaction.query(RIGHTS, &[&names, &are_written]).await?;
    let public = transaction.query(PUBLIC, &[]).await?;
    let faults = role.as_ref().map(role_faults).unwrap_or_default();
    let mut findings = or_ok(CHECK, faults, "dejima logs in, and is no superuser");
    let faults = rights.iter().flat_map(rights_faults).collect();
    findings.extend(or_ok(
        "rights",
        faults,
        "role dejima may use every base table",
    ));
    let faults = public.iter().map(public_fault).collect();
    findings.extend(or_ok(
        "public",
        faults,
        "only role dejima may call its functions",
    ));
    Ok(findings)
}

fn role_faults(row: &Row) -> Vec<Finding> {
    let mut faults = vec![];
    let user: &str = row.get(0);
    if user != "dejima" {
        let what =
            format!("the peer is logged in as role \"{user}\": what it writes is captured again");
        faults.push(Finding::critical(
            CHECK,
            what,
            "write user=dejima into database.url, and restart the peer",
        ));
    }
    if row.get(1) {
        faults.push(Finding::critical(
            CHECK,
            "role dejima is a superuser: a mistake in a declaration could change anything, and the next start refuses",
            "ALTER ROLE dejima NOSUPERUSER",
        ));
    }
    if !row.get::<_, bool>(2) {
        let what = "role dejima may not log in: the next session fails";
        faults.push(Finding::critical(CHECK, what, "ALTER ROLE dejima LOGIN"));
    }
    // A base table with row-level security needs it.
    if row.get(3) && !row.get::<_, bool>(5) {
        let what = "role dejima has BYPASSRLS, and no base table needs it";
        faults.push(Finding::warning(
            CHECK,
            what,
            "ALTER ROLE dejima NOBYPASSRLS",
        ));
    }
    for schema in row.get::<_, Vec<String>>(4) {
        let what = format!("schema {schema} does not belong to role dejima");
        faults.push(Finding::critical(
            CHECK,
            what,
            format!("ALTER SCHEMA {schema} OWNER TO dejima"),
        ));
    }
    faults
}

fn rights_faults(row: &Row) -> Vec<Finding> {
    let (table, schema): (&str, Option<&str>) = (row.get(0), row.get(1));
    let mut faults = vec![];
    let mut fault = |what: String, cure: String| {
        faults.push(Finding::critical("rights", what, cure));
    };
    if !row.get::<_, bool>(2) {
        let cure = "put it back, or correct the declaration; then restart the peer";
        fault(format!("base table {table} is gone"), cure.into());
    } else if !row.get::<_, bool>(3) {
        let schema = identifier(schema.unwrap_or_default());
        fault(
            format!("role dejima may not use schema {schema} of base table {table}"),
            format!("GRANT USAGE ON SCHEMA {schema} TO dejima"),
        );
    }
    let missing = row.get::<_, Vec<String>>(4).join(", ");
    if !missing.is_empty() {
        fault(
            format!("role dejima lacks {missing} on base table {table}"),
            format!("GRANT {missing} ON {table} TO dejima"),
        );
    }
    if row.get(5) {
        fault(
            format!("row-level security of base table {table} hides rows from role dejima"),
            "ALTER ROLE dejima BYPASSRLS".into(),
        );
    }
    faults
}

fn public_fault(row: &Row) -> Finding {
    let function: &str = row.get(0);
    Finding::critical(
        "public",
        format!("every role may execute {function}"),
        format!("REVOKE ALL ON FUNCTION {function} FROM PUBLIC"),
    )
}
