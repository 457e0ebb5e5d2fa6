//! What one client does, from empty tables on: transactions, with savepoints in them.

use std::fmt::{self, Display, Formatter};

use crate::statement::Statement;

/// Transactions, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Script {
    pub(crate) transactions: Vec<Transaction>,
}

/// One transaction.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transaction {
    pub(crate) isolation: &'static str,
    /// Settings for its length, each `name = value`.
    pub(crate) settings: Vec<&'static str>,
    pub(crate) steps: Vec<Step>,
    pub(crate) ending: Ending,
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Commit,
    Rollback,
    /// PREPARE TRANSACTION, then COMMIT PREPARED or ROLLBACK PREPARED.
    Prepare {
        commits: bool,
    },
}

/// A statement, or a savepoint with what follows it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// If it fails, the nearest savepoint around it is rolled back, or the transaction.
    Run(Statement),
    /// SAVEPOINT, the steps, and then RELEASE or ROLLBACK TO.
    Savepoint { steps: Vec<Step>, released: bool },
}

impl Script {
    /// How many statements it has.
    pub(crate) fn statements(&self) -> usize {
        self.transactions
            .iter()
            .map(|transaction| count(&transaction.steps))
            .sum()
    }
}

impl Script {
    /// The same with less in it, in every way that takes away one thing.
    pub(crate) fn smaller(&self) -> Vec<Script> {
        let of_one = |(at, transaction): (usize, &Transaction)| {
            transaction.smaller().into_iter().map(move |smaller| {
                let mut script = self.clone();
                script.transactions[at] = smaller;
                script
            })
        };
        self.transactions
            .iter()
            .enumerate()
            .flat_map(of_one)
            .collect()
    }
}

impl Step {
    /// True if one of its statements is such.
    fn has(&self, is_such: &impl Fn(&Statement) -> bool) -> bool {
        match self {
            Step::Run(statement) => is_such(statement),
            Step::Savepoint { steps, .. } => steps.iter().any(|step| step.has(is_such)),
        }
    }
}

impl Transaction {
    /// True if one of its statements is such.
    pub(crate) fn has(&self, is_such: impl Fn(&Statement) -> bool) -> bool {
        self.steps.iter().any(|step| step.has(&is_such))
    }

    fn smaller(&self) -> Vec<Transaction> {
        let mut found = Vec::new();
        for at in 0..self.settings.len() {
            let mut fewer = self.clone();
            fewer.settings.remove(at);
            found.push(fewer);
        }
        if !self.isolation.is_empty() {
            found.push(Self {
                isolation: "",
                ..self.clone()
            });
        }
        if self.ending != Ending::Commit {
            found.push(Self {
                ending: Ending::Commit,
                ..self.clone()
            });
        }
        found.extend(smaller_steps(&self.steps).into_iter().map(|steps| Self {
            steps,
            ..self.clone()
        }));
        found
    }
}

fn smaller_steps(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut found = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let mut put = |instead: Vec<Step>| {
            let mut steps = steps.to_vec();
            steps.splice(at..=at, instead);
            found.push(steps);
        };
        match step {
            Step::Run(statement) => {
                statement
                    .smaller()
                    .into_iter()
                    .for_each(|smaller| put(vec![Step::Run(smaller)]));
            }
            Step::Savepoint { steps, released } => {
                put(steps.clone());
                for steps in smaller_steps(steps) {
                    put(vec![Step::Savepoint {
                        steps,
                        released: *released,
                    }]);
                }
            }
        }
    }
    found
}

fn count(steps: &[Step]) -> usize {
    let one = |step: &Step| match step {
        Step::Run(_) => 1,
        Step::Savepoint { steps, .. } => count(steps),
    };
    steps.iter().map(one).sum()
}

impl Display for Script {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.transactions
            .iter()
            .try_for_each(|transaction| transaction.fmt(f))
    }
}

impl Display for Transaction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{};", self.begin().join("; "))?;
        write_steps(f, &self.steps, 1)?;
        match self.ending {
            Ending::Commit => writeln!(f, "COMMIT;"),
            Ending::Rollback => writeln!(f, "ROLLBACK;"),
            Ending::Prepare { commits } => {
                writeln!(
                    f,
                    "PREPARE TRANSACTION 'x';\n{} PREPARED 'x';",
                    verb(commits)
                )
            }
        }
    }
}

/// How what is prepared ends.
pub(crate) fn verb(commits: bool) -> &'static str {
    if commits { "COMMIT" } else { "ROLLBACK" }
}

impl Transaction {
    /// The commands that begin it.
    pub(crate) fn begin(&self) -> Vec<String> {
        let begin = match self.isolation {
            "" => "BEGIN".to_owned(),
            isolation => format!("BEGIN ISOLATION LEVEL {isolation}"),
        };
        let settings = self
            .settings
            .iter()
            .map(|setting| format!("SET LOCAL {setting}"));
        [begin].into_iter().chain(settings).collect()
    }
}

fn write_steps(f: &mut Formatter<'_>, steps: &[Step], depth: usize) -> fmt::Result {
    let indent = "  ".repeat(depth);
    for step in steps {
        match step {
            Step::Run(statement) => {
                writeln!(f, "{indent}{statement};")?;
                if let Statement::Copy(copy) = statement {
                    writeln!(f, "{}\\.", copy.text())?;
                }
            }
            Step::Savepoint { steps, released } => {
                writeln!(f, "{indent}SAVEPOINT s{depth};")?;
                write_steps(f, steps, depth + 1)?;
                let end = if *released { "RELEASE" } else { "ROLLBACK TO" };
                writeln!(f, "{indent}{end} s{depth};")?;
            }
        }
    }
    Ok(())
}
