//! Applying: what declaring would change is shown, done in one transaction, and can be undone.
//!
//! Parts are never changed while a transaction that used them is in doubt: whoever ends it, and whoever mends what a wrong
//! choice left, must find the database as the transaction found it.

use std::collections::BTreeMap;

use deadpool_postgres::Transaction;

use super::declared::DeclaredTable;
use super::error::Error;
use super::establish::{Difference, owners};
use super::relied::Relied;
use super::{Database, constraint};
use crate::examine::Finding;
use crate::name::read_prepared_name;
use crate::strategy::{Part, PartKind, TableDeclaration, identifier};

const PREPARED: &str =
    "SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY gid";
const BASE_TABLE: &str = "SELECT $1::oid::regclass::text";
/// What is there, and what it relies on.
const KEEP: &str = "
INSERT INTO dejima.applied (parts, chosen)
SELECT coalesce((SELECT jsonb_agg(g) FROM dejima.generated AS g), '[]'),
  ARRAY(SELECT s.base_table || ' ' || s.what FROM dejima.shape AS s WHERE dejima.is_chosen(s.what) ORDER BY 1)
ON CONFLICT (one_row) DO UPDATE SET at = now(), parts = excluded.parts, chosen = excluded.chosen";
const KEPT_PARTS: &str = "
SELECT g.part, g.creating, g.removing FROM dejima.applied AS a, jsonb_populate_recordset(NULL::dejima.generated, a.parts) AS g
ORDER BY CASE split_part(g.part, ' ', 1) WHEN 'view' THEN 1 WHEN 'derive' THEN 2 WHEN 'put' THEN 3 WHEN 'capture' THEN 4 ELSE 5 END, g.part";
const KEPT_CHOSEN: &str = "SELECT chosen FROM dejima.applied";
const NAMES: &str = "SELECT id, name FROM dejima.dejima_table";

/// What is to be in the database.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// What is declared.
    Declared(&'a [TableDeclaration]),
    /// What was there before it was applied last.
    Before,
}

/// What applying would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// In the order in which it is done.
    pub changes: Vec<PartChange>,
    /// What keeps nobody from applying it, and puts may meet later.
    pub warnings: Vec<Finding>,
}

/// A change of one part of the generated SQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartChange {
    /// What happens to it.
    pub action: Action,
    /// The part, for people.
    pub part: String,
    /// The Dejima table that it serves; nothing if it serves all of them.
    pub table: String,
    /// What is locked while it is done: kind of lock and table.
    pub lock: String,
}

/// What happens to a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Create,
    /// It is made anew.
    Change,
    /// It is taken away.
    Drop,
}

impl Action {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Drop => "drop",
        }
    }
}

/// What is wanted, and how that differs from what is there.
struct Wanted {
    /// Nothing is known of them but their parts if they are those from before.
    tables: Vec<DeclaredTable>,
    parts: Vec<Part>,
    owners: BTreeMap<String, String>,
    relied: Relied,
    difference: Difference,
}

impl Database {
    /// What applying would change, and what is to be said of it. Changes nothing.
    pub async fn preview(&self, target: Target<'_>) -> Result<Preview, Error> {
        let mut client = self.client().await?;
        let transaction = self.declaring(&mut client).await?;
        let wanted = self.wanted(&transaction, target).await?;
        let changes = self.changes(&transaction, &wanted).await?;
        let failed = |e| self.failed("looking at what would change", &e);
        let warnings = constraint::findings(&transaction, &wanted.tables).await;
        let warnings = warnings.map_err(failed)?;
        transaction.rollback().await.map_err(failed)?;
        Ok(Preview { changes, warnings })
    }

    /// Makes it so, in one transaction, and keeps what was there; says what was changed.
    pub async fn apply(&self, target: Target<'_>) -> Result<Vec<PartChange>, Error> {
        let mut client = self.client().await?;
        let transaction = self.declaring(&mut client).await?;
        let wanted = self.wanted(&transaction, target).await?;
        let changes = self.changes(&transaction, &wanted).await?;
        if changes.is_empty() {
            return Ok(changes);
        }
        let touches_what_is_there = changes.iter().any(|change| change.action != Action::Create);
        if touches_what_is_there {
            self.check_in_doubt(&transaction).await?;
        }
        let kept = transaction.execute(KEEP, &[]).await;
        kept.map_err(|e| self.failed("keeping what is there", &e))?;
        self.establish(
            &transaction,
            &wanted.difference,
            &wanted.parts,
            &wanted.owners,
        )
        .await?;
        self.note_shape(&transaction, &wanted.relied).await?;
        if touches_what_is_there {
            // Some that were open when this began may have promised since.
            self.check_in_doubt(&transaction).await?;
        }
        let committed = transaction.commit().await;
        committed.map_err(|e| self.failed("applying", &e))?;
        Ok(changes)
    }

    async fn wanted(
        &self,
        transaction: &Transaction<'_>,
        target: Target<'_>,
    ) -> Result<Wanted, Error> {
        let Target::Declared(tables) = target else {
            return self.before(transaction).await;
        };
        let plan = self.plan(transaction, tables).await?;
        let difference = self.difference(transaction, &plan.parts).await?;
        self.check_conditions(transaction, &plan, &difference)
            .await?;
        Ok(Wanted {
            tables: DeclaredTable::all(&plan),
            owners: owners(&plan),
            relied: Relied::on(&plan),
            parts: plan.parts,
            difference,
        })
    }

    /// What was kept when something was applied last.
    async fn before(&self, transaction: &Transaction<'_>) -> Result<Wanted, Error> {
        let failed = |e| self.failed("reading what was there before", &e);
        let kept = transaction.query_opt(KEPT_CHOSEN, &[]).await;
        let Some(kept) = kept.map_err(failed)? else {
            return Err(Error::NothingApplied {
                peer: self.peer().clone(),
            });
        };
        let names = self.names(transaction).await?;
        let rows = transaction.query(KEPT_PARTS, &[]).await.map_err(failed)?;
        let part = |row: &tokio_postgres::Row| {
            let name: String = row.get(0);
            Part {
                kind: kind(&name, &names),
                create: row.get(1),
                remove: row.get(2),
                name,
            }
        };
        let parts: Vec<_> = rows.iter().map(part).collect();
        let base = |part: &Part| match part.kind {
            PartKind::Capture(oid) => Some(oid),
            _ => None,
        };
        let relied = Relied {
            base_tables: parts.iter().filter_map(base).collect(),
            chosen: kept.get(0),
        };
        Ok(Wanted {
            tables: vec![],
            owners: BTreeMap::new(),
            difference: self.difference(transaction, &parts).await?,
            relied,
            parts,
        })
    }

    /// The names of Dejima tables by their numbers.
    async fn names(&self, transaction: &Transaction<'_>) -> Result<BTreeMap<i32, String>, Error> {
        let rows = transaction.query(NAMES, &[]).await;
        let rows = rows.map_err(|e| self.failed("reading the names of Dejima tables", &e))?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// What differs, in the order in which it is done.
    async fn changes(
        &self,
        transaction: &Transaction<'_>,
        wanted: &Wanted,
    ) -> Result<Vec<PartChange>, Error> {
        let names = self.names(transaction).await?;
        let mut changes = Vec::new();
        for (name, action) in wanted.difference.actions(&wanted.parts) {
            let base_table = match kind(name, &names) {
                PartKind::Capture(oid) => self.base_name(transaction, oid).await?,
                _ => String::new(),
            };
            changes.push(described(name, action, &names, &base_table));
        }
        Ok(changes)
    }

    async fn base_name(&self, transaction: &Transaction<'_>, oid: u32) -> Result<String, Error> {
        let row = transaction.query_one(BASE_TABLE, &[&oid]).await;
        let row = row.map_err(|e| self.failed("reading the names of base tables", &e))?;
        Ok(row.get(0))
    }

    /// Refuses while a transaction of the peer is in doubt.
    async fn check_in_doubt(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let rows = transaction.query(PREPARED, &[]).await;
        let rows = rows.map_err(|e| self.failed("looking for transactions in doubt", &e))?;
        let gid = |row: &tokio_postgres::Row| {
            let (gid, _) = read_prepared_name(self.peer(), row.get(0))?;
            Some(gid.to_string())
        };
        let prepared: Vec<String> = rows.iter().filter_map(gid).collect();
        if prepared.is_empty() {
            return Ok(());
        }
        Err(Error::InDoubt {
            peer: self.peer().clone(),
            gids: prepared.join(", "),
        })
    }
}

/// The number at the end of a part's name: of a Dejima table, or the oid of a base table.
fn number<T: std::str::FromStr>(part: &str) -> Option<T> {
    part.rsplit_once(' ')?.1.parse().ok()
}

/// What the part of that name makes.
fn kind(part: &str, names: &BTreeMap<i32, String>) -> PartKind {
    match part.split(' ').next() {
        Some("view") => PartKind::View(view(part, names)),
        Some("put") => PartKind::Put,
        Some("derive") => PartKind::Derive,
        Some("capture") => PartKind::Capture(number(part).unwrap_or_default()),
        _ => PartKind::Dispatcher,
    }
}

/// The view of the Dejima table that a part belongs to.
fn view(part: &str, names: &BTreeMap<i32, String>) -> String {
    let name = number(part).and_then(|id: i32| names.get(&id));
    let name = name.map(|name| identifier(name)).unwrap_or_default();
    format!("dejima_tables.{name}")
}

fn described(
    name: &str,
    action: Action,
    names: &BTreeMap<i32, String>,
    base_table: &str,
) -> PartChange {
    let exclusive = |table: &str| format!("ACCESS EXCLUSIVE on {table}");
    let (part, lock) = match (kind(name, names), action) {
        (PartKind::View(view), Action::Create) => (format!("view {view}"), String::new()),
        (PartKind::View(view), _) => (format!("view {view}"), exclusive(&view)),
        // Some have triggers on the view.
        (PartKind::Put, _) => ("functions that put".into(), exclusive(&view(name, names))),
        (PartKind::Derive, _) => ("functions that find changes".into(), String::new()),
        (PartKind::Capture(_), Action::Create) => (
            format!("capture triggers of {base_table}"),
            format!("SHARE ROW EXCLUSIVE on {base_table}"),
        ),
        (PartKind::Capture(_), _) => (
            format!("capture triggers of {base_table}"),
            exclusive(base_table),
        ),
        (PartKind::Dispatcher, _) => ("function dejima.put".into(), String::new()),
    };
    let table = match name.split(' ').next() {
        Some("capture" | "dispatcher") => None,
        _ => number(name).and_then(|id: i32| names.get(&id)),
    };
    PartChange {
        action,
        part,
        table: table.cloned().unwrap_or_default(),
        lock,
    }
}
