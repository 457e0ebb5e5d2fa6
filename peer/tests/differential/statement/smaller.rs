//! Statements with less in them, for the shrinker.

use super::{
    Attempt, Conflict, Copy, Delete, Insert, Merge, Prepared, Source, Statement, Truncate, Update,
    With,
};

impl Statement {
    /// The same with less in it, in every way that takes away one thing.
    pub(crate) fn smaller(&self) -> Vec<Statement> {
        match self {
            Self::Insert(insert) => insert.smaller().into_iter().map(Self::Insert).collect(),
            Self::Update(update) => {
                let fewer = without_one(&update.assignments)
                    .into_iter()
                    .map(|assignments| {
                        Self::Update(Update {
                            assignments,
                            ..update.clone()
                        })
                    });
                let silent = update.returning.then(|| {
                    Self::Update(Update {
                        returning: false,
                        ..update.clone()
                    })
                });
                fewer.chain(silent).collect()
            }
            Self::Delete(delete) if delete.returning => {
                vec![Self::Delete(Delete {
                    returning: false,
                    ..delete.clone()
                })]
            }
            Self::Merge(merge) => without_one(&merge.branches)
                .into_iter()
                .map(|branches| {
                    Self::Merge(Merge {
                        branches,
                        ..merge.clone()
                    })
                })
                .collect(),
            Self::Copy(copy) => without_one(&copy.rows)
                .into_iter()
                .map(|rows| {
                    Self::Copy(Copy {
                        rows,
                        ..copy.clone()
                    })
                })
                .collect(),
            Self::Truncate(truncate) => without_one(&truncate.tables)
                .into_iter()
                .map(|tables| {
                    Self::Truncate(Truncate {
                        tables,
                        ..truncate.clone()
                    })
                })
                .collect(),
            Self::With(with) => with.smaller(),
            Self::Do(attempts) => smaller_attempts(attempts),
            Self::Prepared(prepared) => without_one(&prepared.arguments)
                .into_iter()
                .map(|arguments| {
                    Self::Prepared(Prepared {
                        arguments,
                        ..prepared.clone()
                    })
                })
                .collect(),
            Self::Delete(_) | Self::Cursor(_) | Self::Plain(_) => Vec::new(),
        }
    }
}

impl Insert {
    fn smaller(&self) -> Vec<Insert> {
        let mut found = Vec::new();
        if let Source::Values(rows) = &self.source {
            let with = |rows| Insert {
                source: Source::Values(rows),
                ..self.clone()
            };
            found.extend(without_one(rows).into_iter().map(with));
            found.extend((self.table.key..self.columns.len()).map(|at| {
                let mut rows = rows.clone();
                rows.iter_mut().for_each(|row| drop(row.remove(at)));
                let mut fewer = with(rows);
                fewer.columns.remove(at);
                fewer
            }));
        }
        if self.conflict != Conflict::Error {
            found.push(Insert {
                conflict: Conflict::Error,
                ..self.clone()
            });
        }
        if self.returning {
            found.push(Insert {
                returning: false,
                ..self.clone()
            });
        }
        found
    }
}

impl With {
    fn smaller(&self) -> Vec<Statement> {
        let mut found: Vec<Statement> = self.parts.clone();
        found.push((*self.last).clone());
        for (at, part) in self.parts.iter().enumerate() {
            found.extend(part.smaller().into_iter().map(|smaller| {
                let mut with = self.clone();
                with.parts[at] = smaller;
                Statement::With(with)
            }));
        }
        found.extend(self.last.smaller().into_iter().map(|smaller| {
            Statement::With(With {
                parts: self.parts.clone(),
                last: Box::new(smaller),
            })
        }));
        found
    }
}

fn smaller_attempts(attempts: &[Attempt]) -> Vec<Statement> {
    let mut found: Vec<Statement> = without_one(attempts)
        .into_iter()
        .map(Statement::Do)
        .collect();
    for (at, attempt) in attempts.iter().enumerate() {
        found.extend(
            without_one(&attempt.statements)
                .into_iter()
                .map(|statements| {
                    let mut attempts = attempts.to_vec();
                    attempts[at].statements = statements;
                    Statement::Do(attempts)
                }),
        );
    }
    if let [Attempt { statements, .. }] = attempts
        && let [only] = statements.as_slice()
    {
        found.push(only.clone());
    }
    found
}

/// The list without its first element, without its second and so on; never empty.
fn without_one<T: Clone>(list: &[T]) -> Vec<Vec<T>> {
    if list.len() < 2 {
        return Vec::new();
    }
    let without = |at: usize| {
        let mut rest = list.to_vec();
        rest.remove(at);
        rest
    };
    (0..list.len()).map(without).collect()
}
