//! The generated SQL, part by part: what is there is compared with what is wanted, and only the difference is made.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::Database;
use super::apply::Action;
use super::error::{Error, describe};
use crate::strategy::{Part, PartKind, Plan, literal};

const PRESENT: &str = "SELECT part, creating, removing FROM dejima.generated";
const TRIGGERS_WORK: &str = "SELECT coalesce(bool_and(p.state IN ('O', 'A')), false) FROM (SELECT coalesce(state, 'D') AS state FROM dejima.capture_points($1)) AS p";
const VIEW_EXISTS: &str = "SELECT to_regclass($1) IS NOT NULL";
/// The functions of the part called `$1`, and the families that they lock, if they do.
const DERIVE_WORKS: &str = "
SELECT count(p.oid) = count(*) AND (NOT bool_or(p.prosrc LIKE '%dejima.family%') OR EXISTS (
  SELECT FROM dejima.family AS f WHERE f.dejima_table = substring($1 FROM '\\d+$')::integer))
FROM dejima.generated AS g, regexp_matches(g.removing, 'dejima\\.\\w+\\([^)]*\\)', 'g') AS f(signature)
LEFT JOIN pg_proc AS p ON p.oid = to_regprocedure(f.signature[1])
WHERE g.part = $1";
/// In reverse of the order of creation: what depends goes first.
const REMOVAL: [&str; 5] = ["dispatcher", "capture", "put", "derive", "view"];

/// What stands in the way between the parts that are there and those that are wanted.
pub(super) struct Difference {
    /// What is there: how it was made, and what removes it.
    present: BTreeMap<String, Made>,
    /// What is there as it is wanted.
    kept: BTreeSet<String>,
}

struct Made {
    creating: String,
    removing: String,
}

impl Difference {
    /// Whether the part is there as it is wanted.
    pub(super) fn keeps(&self, part: &str) -> bool {
        self.kept.contains(part)
    }

    /// What happens to which part, in the order in which it is done.
    pub(super) fn actions<'a>(&'a self, parts: &'a [Part]) -> Vec<(&'a str, Action)> {
        let is_wanted = |name: &str| parts.iter().any(|part| part.name == name);
        let removed = REMOVAL.iter().flat_map(|kind| {
            let present = self.present.keys().map(String::as_str);
            present.filter(move |name| name.starts_with(kind))
        });
        let dropped = removed.filter(|name| !is_wanted(name));
        let made = parts.iter().map(|part| part.name.as_str());
        let made = made.filter(|name| !self.keeps(name)).map(|name| {
            let is_there = self.present.contains_key(name);
            (
                name,
                if is_there {
                    Action::Change
                } else {
                    Action::Create
                },
            )
        });
        dropped
            .map(|name| (name, Action::Drop))
            .chain(made)
            .collect()
    }

    /// Whether it has to go before what is wanted can be made. A view is replaced where it stands, so that grants on it stay,
    /// unless it has triggers or functions of another kind.
    fn goes_first(&self, name: &str, made: &Made, parts: &[Part]) -> bool {
        let is_replaced = |part: &Part| {
            matches!(part.kind, PartKind::View(_))
                && part.name == name
                && part.remove == made.removing
        };
        !self.keeps(name) && !parts.iter().any(is_replaced)
    }
}

impl Database {
    /// Compares the parts that are wanted with those that are there.
    pub(super) async fn difference(
        &self,
        transaction: &Transaction<'_>,
        parts: &[Part],
    ) -> Result<Difference, Error> {
        let rows = transaction.query(PRESENT, &[]).await;
        let rows = rows.map_err(|e| self.failed("reading what is declared", &e))?;
        let made = |row: &tokio_postgres::Row| Made {
            creating: row.get(1),
            removing: row.get(2),
        };
        let present: BTreeMap<String, Made> =
            rows.iter().map(|row| (row.get(0), made(row))).collect();
        let mut kept = BTreeSet::new();
        for part in parts {
            let made = present.get(&part.name);
            let same = made.is_some_and(|made| made.creating == part.create);
            if same && self.is_whole(transaction, part).await? {
                kept.insert(part.name.clone());
            }
        }
        // Functions and triggers that put may stand on the view.
        for part in parts.iter().filter(|part| part.kind == PartKind::Put) {
            if !kept.contains(&part.name.replacen("put", "view", 1)) {
                kept.remove(&part.name);
            }
        }
        Ok(Difference { present, kept })
    }

    /// Removes and makes what is not as it is wanted. `owners` says whose each part is, for errors.
    pub(super) async fn establish(
        &self,
        transaction: &Transaction<'_>,
        difference: &Difference,
        parts: &[Part],
        owners: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let is_new = |part: &&Part| !difference.keeps(&part.name);
        for kind in REMOVAL {
            let present = difference.present.iter();
            for (name, made) in present.filter(|(name, _)| name.starts_with(kind)) {
                if difference.goes_first(name, made, parts) {
                    let removed = remove(transaction, name, &made.removing).await;
                    removed.map_err(|e| self.refused(owners, name, &e))?;
                }
            }
        }
        for part in parts.iter().filter(is_new) {
            let created = create(transaction, part).await;
            created.map_err(|e| self.refused(owners, &part.name, &e))?;
        }
        Ok(())
    }

    /// Is it still there? The owner of a base table can drop or disable triggers: then they are made again.
    async fn is_whole(&self, transaction: &Transaction<'_>, part: &Part) -> Result<bool, Error> {
        let found = match &part.kind {
            PartKind::Capture(oid) => transaction.query_one(TRIGGERS_WORK, &[oid]).await,
            PartKind::View(name) => transaction.query_one(VIEW_EXISTS, &[name]).await,
            PartKind::Derive => transaction.query_one(DERIVE_WORKS, &[&part.name]).await,
            PartKind::Put | PartKind::Dispatcher => return Ok(true),
        };
        let found = found.map_err(|e| self.failed("looking at what is declared", &e))?;
        Ok(found.get(0))
    }

    fn refused(
        &self,
        owners: &BTreeMap<String, String>,
        part: &str,
        error: &tokio_postgres::Error,
    ) -> Error {
        let cure = match error.code() {
            Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                "a transaction holds the base table: try again when it has ended"
            }
            Some(&SqlState::DEPENDENT_OBJECTS_STILL_EXIST) => {
                "drop what depends on the view and declare again"
            }
            Some(&SqlState::DUPLICATE_OBJECT) => "rename the trigger of that name",
            _ => "correct the declaration",
        };
        Error::BaseTable {
            peer: self.peer().clone(),
            table: owners.get(part).cloned().unwrap_or_else(|| "?".into()),
            problem: describe(error),
            cure: cure.into(),
        }
    }
}

/// For each part of a plan its Dejima table, or one of those over its base table.
pub(super) fn owners(plan: &Plan) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    let mut note = |part: String, table: &str| {
        owners.entry(part).or_insert_with(|| table.to_owned());
    };
    for strategy in &plan.strategies {
        let table = strategy.table.as_str();
        for kind in ["view", "put"] {
            note(format!("{kind} {}", strategy.id), table);
        }
        note(format!("capture {}", strategy.base.oid), table);
    }
    for program in &plan.programs {
        let table = program.table.as_str();
        for kind in ["view", "put", "derive"] {
            note(format!("{kind} {}", program.id), table);
        }
        for source in program.sources.values() {
            note(format!("capture {}", source.base.oid), table);
        }
    }
    owners
}

async fn remove(
    transaction: &Transaction<'_>,
    name: &str,
    removing: &str,
) -> Result<(), tokio_postgres::Error> {
    let note = format!(
        "DELETE FROM dejima.generated WHERE part = {}",
        literal(name)
    );
    transaction
        .batch_execute(&format!("{removing};\n{note}"))
        .await
}

async fn create(transaction: &Transaction<'_>, part: &Part) -> Result<(), tokio_postgres::Error> {
    match part.kind {
        PartKind::View(_) => replace_view(transaction, part).await?,
        _ => transaction.batch_execute(&part.create).await?,
    }
    let note = "INSERT INTO dejima.generated (part, creating, removing) VALUES ($1, $2, $3) ON CONFLICT (part) \
                DO UPDATE SET creating = excluded.creating, removing = excluded.removing";
    transaction
        .execute(note, &[&part.name, &part.create, &part.remove])
        .await
        .map(drop)
}

/// Keeps the grants on the view if its columns allow it.
async fn replace_view(
    transaction: &Transaction<'_>,
    part: &Part,
) -> Result<(), tokio_postgres::Error> {
    transaction.batch_execute("SAVEPOINT view").await?;
    match transaction.batch_execute(&part.create).await {
        Err(e) if e.code() == Some(&SqlState::INVALID_TABLE_DEFINITION) => {
            let again = format!(
                "ROLLBACK TO SAVEPOINT view;\n{};\n{}",
                part.remove, part.create
            );
            transaction.batch_execute(&again).await
        }
        other => other,
    }
}
