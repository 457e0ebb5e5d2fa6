//! Do all copies of a Dejima table hold the same rows (invariant 4)?

use std::collections::BTreeSet;

use crate::error::{self, Error};
use crate::world::World;

/// What a comparison of all copies of all Dejima tables found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Each Dejima table.
    pub tables: Vec<SharedTable>,
    /// Where two members differ.
    pub differences: Vec<Difference>,
    /// Prepared transactions left, as `peer: gid`.
    pub in_doubt: Vec<String>,
}

/// A Dejima table with its members and its size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedTable {
    /// The Dejima table.
    pub name: String,
    /// Its members.
    pub members: Vec<String>,
    /// Its number of rows (at the first member).
    pub rows: usize,
}

/// A row that one member has and another has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The Dejima table.
    pub table: String,
    /// The member that has the row.
    pub there: String,
    /// The member that has not.
    pub missing: String,
    /// The row as PostgreSQL writes a record.
    pub row: String,
}

impl Agreement {
    /// True if all copies are equal and nothing is prepared.
    pub fn holds(&self) -> bool {
        self.differences.is_empty() && self.in_doubt.is_empty()
    }
}

impl World {
    /// Waits until no peer has a transaction in flight, then compares the copies of every Dejima table among
    /// its members and looks for prepared transactions.
    pub async fn compare(&self) -> Result<Agreement, Error> {
        self.await_quiet().await?;
        let mut agreement = Agreement::default();
        for (table, members) in self.shared_tables() {
            let mut copies = Vec::new();
            for member in &members {
                copies.push((member.clone(), self.rows_of(member, &table).await?));
            }
            let rows = copies.first().map_or(0, |(_, rows)| rows.len());
            agreement.differences.extend(differences(&table, &copies));
            agreement.tables.push(SharedTable {
                name: table,
                members,
                rows,
            });
        }
        for member in self.members() {
            let database = self.superuser(member.name()).await?;
            let prepared = database
                .query("SELECT gid FROM pg_prepared_xacts WHERE database = current_database() ORDER BY gid", &[])
                .await
                .map_err(error::database("reading pg_prepared_xacts"))?;
            agreement.in_doubt.extend(
                prepared
                    .iter()
                    .map(|row| format!("{}: {}", member.name(), row.get::<_, &str>(0))),
            );
        }
        Ok(agreement)
    }

    async fn rows_of(&self, member: &str, table: &str) -> Result<Vec<String>, Error> {
        let database = self.superuser(member).await?;
        let table = crate::cluster::quote_identifier(table);
        let sql = format!(
            "SELECT t::text FROM dejima_tables.{table} AS t ORDER BY t::text COLLATE \"C\""
        );
        let rows = database
            .query(&sql, &[])
            .await
            .map_err(error::database(format!("reading {table} at {member}")))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

/// Compares each copy with the first; keys make rows unique, so sets are enough.
fn differences(table: &str, copies: &[(String, Vec<String>)]) -> Vec<Difference> {
    let Some(((first, rows), others)) = copies.split_first() else {
        return Vec::new();
    };
    let rows: BTreeSet<&String> = rows.iter().collect();
    let mut found = Vec::new();
    for (other, other_rows) in others {
        let other_rows: BTreeSet<&String> = other_rows.iter().collect();
        let mut add = |there: &String, missing: &String, row: &&String| {
            found.push(Difference {
                table: table.to_owned(),
                there: there.clone(),
                missing: missing.clone(),
                row: (*row).clone(),
            });
        };
        rows.difference(&other_rows)
            .for_each(|row| add(first, other, row));
        other_rows
            .difference(&rows)
            .for_each(|row| add(other, first, row));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_says_who_has_the_row() {
        let copy = |name: &str, rows: &[&str]| {
            (
                name.to_owned(),
                rows.iter().map(|r| (*r).to_owned()).collect(),
            )
        };
        let copies = [
            copy("bank", &["(a)", "(b)"]),
            copy("gov", &["(b)", "(c)"]),
            copy("bank-2", &["(a)", "(b)"]),
        ];
        let seen: Vec<(String, String, String)> = differences("T", &copies)
            .into_iter()
            .map(|d| (d.there, d.missing, d.row))
            .collect();
        let expected = [("bank", "gov", "(a)"), ("gov", "bank", "(c)")];
        assert_eq!(
            seen,
            expected.map(|(a, b, c)| (a.to_owned(), b.to_owned(), c.to_owned()))
        );
    }
}
