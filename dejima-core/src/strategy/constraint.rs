//! The constraints that base tables have, against those that a strategy says they have.
//!
//! What a strategy relies on must be there, or its proof says nothing. What is there and it does not say stands in no proof: a
//! put that breaks it is refused when it is run.

use std::collections::{BTreeMap, BTreeSet};

use super::bound::{Bound, check_unique};
use super::identifier;
use super::program::{Constraint, ConstraintKind, Predicate, RelationId, Scope};
use super::sql::RowCondition;
use super::unbound::Unbound;

/// A constraint that the database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseConstraint {
    /// The table that keeps it, quoted and qualified: a base table, or another that refers to it.
    pub table: String,
    /// Its name, or its index's.
    pub name: String,
    /// As PostgreSQL writes it.
    pub definition: String,
    /// Every row keeps it, not only those written since it is there.
    pub is_validated: bool,
    /// What it demands.
    pub rule: BaseRule,
}

/// What a constraint demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseRule {
    /// No two rows have the same values.
    Key {
        /// In these columns.
        columns: Vec<String>,
        /// Those of them that an INSERT which does not name them leaves NULL, or gives the next value of a sequence.
        left_alone: Vec<String>,
        /// NULL is the same as NULL.
        is_strict: bool,
    },
    /// Each row refers to a row of the target.
    ForeignKey {
        /// By these columns.
        columns: Vec<String>,
        /// As for a key.
        left_alone: Vec<String>,
        /// The table referred to, quoted and qualified.
        target: String,
        /// For each column, the one that it refers to.
        target_columns: Vec<String>,
        /// All columns are NULL, or none.
        is_strict: bool,
        /// The end or change of a row referred to ends or changes those that refer to it.
        acts: bool,
    },
    /// A condition on each row.
    Check {
        /// As PostgreSQL writes it over the table's columns.
        condition: String,
    },
    /// What no strategy can say: a key of some rows or of expressions, an EXCLUDE, a constraint trigger.
    Other,
}

/// What a strategy says of the rows of base tables, and how PostgreSQL writes it there, in each way that it can read.
pub type Conditions = Vec<(RowCondition, Vec<String>)>;

/// What a strategy does with a base table, and what it knows of the constraints that puts into it can break.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Its puts insert rows; a change of a row is the end of one and the beginning of another.
    pub inserts: bool,
    /// Its puts delete rows.
    pub deletes: bool,
    /// The constraints that it says, too.
    pub said: Vec<BaseConstraint>,
    /// The base columns that it names, and whether it says that they may be NULL.
    pub nulls: Vec<(String, bool)>,
    /// Conditions that it relies on, in SQL, and no constraint of the database is seen to keep.
    pub not_kept: Vec<String>,
}

impl Known {
    /// Those of the constraints found that puts into the base table can break, and the strategy does not say.
    pub fn strangers<'a>(
        &self,
        base: &str,
        named: &[(String, String)],
        found: &'a [BaseConstraint],
    ) -> Vec<&'a BaseConstraint> {
        let is_said = |constraint: &BaseConstraint| {
            let mut said = self.said.iter();
            said.any(|said| {
                (&said.table, &said.definition) == (&constraint.table, &constraint.definition)
            })
        };
        let is_left_alone = |constraint: &BaseConstraint| {
            let (columns, left_alone) = match &constraint.rule {
                BaseRule::Key {
                    columns,
                    left_alone,
                    is_strict: false,
                }
                | BaseRule::ForeignKey {
                    columns,
                    left_alone,
                    ..
                } => (columns, left_alone),
                _ => return false,
            };
            let is_named = |column: &String| named.iter().any(|(named, _)| named == column);
            let mut columns = columns.iter();
            columns.all(|column| left_alone.contains(column) && !is_named(column))
        };
        let can_break = |constraint: &BaseConstraint| {
            let is_referred_to =
                matches!(&constraint.rule, BaseRule::ForeignKey { target, .. } if target == base);
            let is_own = constraint.table == base;
            is_own && self.inserts && !is_left_alone(constraint) || is_referred_to && self.deletes
        };
        let strangers = found.iter();
        strangers
            .filter(|constraint| can_break(constraint) && !is_said(constraint))
            .collect()
    }
}

impl Bound {
    /// With what it knows of the constraints of its base tables; `found` are those that each has, and that refer to it. What it
    /// relies on must be among them; of a condition that somebody wrote, and not as a CHECK, it is only noted.
    pub fn knowing(
        mut self,
        found: &BTreeMap<RelationId, Vec<BaseConstraint>>,
        conditions: &Conditions,
    ) -> Result<Self, Unbound> {
        let of = |relation: RelationId| found.get(&relation).map(Vec::as_slice).unwrap_or_default();
        let mut claims = Vec::new();
        for constraint in &self.program.constraints {
            if let Some(claim) = self.claim(constraint) {
                self.check(&claim, of(claim.relation))?;
                claims.push(claim);
            }
        }
        // Of a relation that is nothing but a key there is no constraint.
        claims.extend(self.sources.iter().filter_map(|(&relation, source)| {
            let key = source.key.as_ref()?;
            Some(self.key_claim(relation, key))
        }));
        let mut not_kept: BTreeMap<RelationId, Vec<String>> = BTreeMap::new();
        for (row, written) in conditions {
            let claim = self.row_claim(row, written);
            if row.is_check && !written.is_empty() {
                self.check(&claim, of(row.relation))?;
            } else if !claim.is_kept(of(row.relation)) {
                let noted = not_kept.entry(row.relation).or_default();
                noted.extend(row.texts.first().cloned());
            }
            claims.push(claim);
        }
        let declared_columns =
            |relation: RelationId| self.program.relation(relation).columns.iter();
        let known = self.sources.keys().map(|&relation| {
            let writes = |predicate| self.program.rules_of(predicate).next().is_some();
            let is_said = |constraint: &&BaseConstraint| claims.iter().any(|c| c.says(constraint));
            let known = Known {
                inserts: writes(Predicate::Insert(relation)),
                deletes: writes(Predicate::Delete(relation)),
                said: of(relation).iter().filter(is_said).cloned().collect(),
                nulls: declared_columns(relation)
                    .map(|column| (column.name.clone(), column.nullable))
                    .collect(),
                not_kept: not_kept.remove(&relation).unwrap_or_default(),
            };
            (relation, known)
        });
        self.known = known.collect();
        Ok(self)
    }

    fn claim(&self, constraint: &Constraint) -> Option<Claim> {
        match &constraint.kind {
            _ if constraint.scope != Scope::Sources => None,
            ConstraintKind::Key { relation, columns } => Some(self.key_claim(*relation, columns)),
            ConstraintKind::ForeignKey {
                relation,
                columns,
                target,
                target_columns,
            } => Some(Claim {
                what: Claimed::ForeignKey {
                    columns: self.names(*relation, columns),
                    target: self.source(*target).base.sql_name(),
                    target_columns: self.names(*target, target_columns),
                },
                ..self.key_claim(*relation, columns)
            }),
            ConstraintKind::Check { .. } | ConstraintKind::Written(_) => None,
        }
    }

    fn key_claim(&self, relation: RelationId, columns: &[usize]) -> Claim {
        let declared = &self.program.relation(relation).columns;
        Claim {
            relation,
            table: self.source(relation).base.sql_name(),
            may_be_null: columns.iter().any(|&column| declared[column].nullable),
            what: Claimed::Key(self.names(relation, columns)),
        }
    }

    fn row_claim(&self, row: &RowCondition, written: &[String]) -> Claim {
        Claim {
            what: Claimed::Row {
                condition: row.texts.first().cloned().unwrap_or_default(),
                written: written.to_vec(),
            },
            ..self.key_claim(row.relation, &[])
        }
    }

    fn names(&self, relation: RelationId, columns: &[usize]) -> Vec<String> {
        let declared = &self.program.relation(relation).columns;
        let name = |&column: &usize| declared[column].name.clone();
        columns.iter().map(name).collect()
    }

    /// Refuses what nothing keeps for all rows.
    fn check(&self, claim: &Claim, found: &[BaseConstraint]) -> Result<(), Unbound> {
        if let Claimed::Key(columns) = &claim.what {
            let base = &self.source(claim.relation).base;
            return check_unique(&self.table, base, columns);
        }
        if claim.is_kept(found) {
            return Ok(());
        }
        let of_new_rows = found.iter().find(|constraint| claim.is_kept_by(constraint));
        Err(Unbound::NotKept {
            table: self.table.clone(),
            base_table: claim.table.clone(),
            rule: claim.text(),
            cure: match of_new_rows {
                Some(found) => format!("VALIDATE CONSTRAINT {}", identifier(&found.name)),
                None => format!("ADD {}", claim.text()),
            },
        })
    }
}

/// A constraint as a strategy says it.
struct Claim {
    relation: RelationId,
    /// The base table, quoted and qualified.
    table: String,
    what: Claimed,
    /// One of its columns may be NULL.
    may_be_null: bool,
}

enum Claimed {
    Key(Vec<String>),
    ForeignKey {
        columns: Vec<String>,
        target: String,
        target_columns: Vec<String>,
    },
    Row {
        condition: String,
        /// As PostgreSQL writes it.
        written: Vec<String>,
    },
}

impl Claim {
    /// Whether a constraint keeps it for all rows.
    fn is_kept(&self, found: &[BaseConstraint]) -> bool {
        let mut found = found.iter();
        found.any(|constraint| constraint.is_validated && self.is_kept_by(constraint))
    }

    fn is_kept_by(&self, constraint: &BaseConstraint) -> bool {
        let is_same = match (&self.what, &constraint.rule) {
            (Claimed::Key(claimed), BaseRule::Key { columns, .. }) => {
                columns.iter().collect::<BTreeSet<_>>() == claimed.iter().collect()
            }
            (
                Claimed::ForeignKey {
                    columns,
                    target,
                    target_columns,
                },
                BaseRule::ForeignKey {
                    columns: found,
                    target: found_target,
                    target_columns: found_columns,
                    ..
                },
            ) => {
                target == found_target
                    && pairs(columns, target_columns) == pairs(found, found_columns)
            }
            (Claimed::Row { written, .. }, BaseRule::Check { condition, .. }) => {
                written.contains(condition)
            }
            _ => false,
        };
        is_same && self.table == constraint.table
    }

    /// Whether it says all that the constraint demands.
    fn says(&self, constraint: &BaseConstraint) -> bool {
        let is_strict = match constraint.rule {
            BaseRule::Key { is_strict, .. } | BaseRule::ForeignKey { is_strict, .. } => is_strict,
            BaseRule::Check { .. } | BaseRule::Other => false,
        };
        self.is_kept_by(constraint) && !(is_strict && self.may_be_null)
    }

    /// As in SQL.
    fn text(&self) -> String {
        let list = |columns: &[String]| {
            let columns: Vec<_> = columns.iter().map(|column| identifier(column)).collect();
            columns.join(", ")
        };
        match &self.what {
            Claimed::Key(columns) => format!("UNIQUE ({})", list(columns)),
            Claimed::ForeignKey {
                columns,
                target,
                target_columns,
            } => format!(
                "FOREIGN KEY ({}) REFERENCES {target} ({})",
                list(columns),
                list(target_columns)
            ),
            Claimed::Row { condition, .. } => format!("CHECK ({condition})"),
        }
    }
}

fn pairs<'a>(columns: &'a [String], targets: &'a [String]) -> BTreeSet<(&'a String, &'a String)> {
    columns.iter().zip(targets).collect()
}
