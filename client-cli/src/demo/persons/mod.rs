//! A bank, a government and an insurer that share persons: a few statements of plain SQL, and what every organisation must
//! hold after each.

mod picture;
mod snapshot;

use dejima_testbed::{Counts, World};
use tokio_postgres::Client;

use super::screen::Screen;
use super::statement::{Refusal, say};
use snapshot::{COLUMNS, Cell, Rows, Snapshot, has_column};

/// What all organisations together know of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Person {
    first_name: &'static str,
    last_name: &'static str,
    phone: Option<&'static str>,
    address: Option<&'static str>,
    birthdate: Option<&'static str>,
    risk_factor: Option<&'static str>,
}

/// One statement, and what comes of it.
struct Step {
    title: &'static str,
    /// The kind of organisation whose client says it; with several of a kind, the n-th (again from the first).
    by: (&'static str, usize),
    sql: &'static str,
    outcome: Outcome,
}

enum Outcome {
    /// The persons afterwards.
    Done(Vec<Person>),
    Refused(Refusal),
}

fn steps() -> Vec<Step> {
    let inserted = Person {
        first_name: "John",
        last_name: "Doe",
        phone: Some("555-0100"),
        address: Some("12 Hill Rd"),
        ..Person::default()
    };
    let moved = Person {
        address: Some("7 Lake St"),
        birthdate: Some("1980-04-01"),
        ..inserted.clone()
    };
    let rated = Person {
        risk_factor: Some("20"),
        ..moved.clone()
    };
    let called = Person {
        phone: Some("555-0199"),
        ..rated.clone()
    };
    let jane = Person {
        first_name: "Jane",
        last_name: "Roe",
        address: Some("3 Mill Ln"),
        birthdate: Some("1992-11-30"),
        risk_factor: Some("35"),
        ..Person::default()
    };
    let max = Person {
        first_name: "Max",
        last_name: "Poe",
        address: Some("1 Quay"),
        birthdate: Some("1975-07-15"),
        risk_factor: Some("10"),
        ..Person::default()
    };
    vec![
        Step {
            title: "A bank registers a person",
            by: ("bank", 0),
            sql: "INSERT INTO bank_users (first_name, last_name, phone, address)\n\
                  VALUES ('John', 'Doe', '555-0100', '12 Hill Rd');",
            outcome: Outcome::Done(vec![inserted]),
        },
        Step {
            title: "The government learns of a new address and adds the birth date",
            by: ("government", 0),
            sql: "UPDATE government_users\n\
                  SET address = '7 Lake St', birthdate = '1980-04-01'\n\
                  WHERE first_name = 'John' AND last_name = 'Doe';",
            outcome: Outcome::Done(vec![moved]),
        },
        Step {
            title: "The insurer sets the risk factor",
            by: ("insurance", 0),
            sql: "UPDATE insurance_users SET risk_factor = 20\n\
                  WHERE first_name = 'John' AND last_name = 'Doe';",
            outcome: Outcome::Done(vec![rated]),
        },
        Step {
            title: "The phone number changes: no business of the insurer's",
            by: ("bank", 1),
            sql: "UPDATE bank_users SET phone = '555-0199'\n\
                  WHERE first_name = 'John' AND last_name = 'Doe';",
            outcome: Outcome::Done(vec![called.clone()]),
        },
        Step {
            title: "An insurer registers two persons in one statement",
            by: ("insurance", 1),
            sql: "INSERT INTO insurance_users\n\
                  \x20      (first_name, last_name, address, birthdate, risk_factor)\n\
                  VALUES ('Jane', 'Roe', '3 Mill Ln', '1992-11-30', 35),\n\
                  \x20      ('Max', 'Poe', '1 Quay', '1975-07-15', 10);",
            outcome: Outcome::Done(vec![called, jane.clone(), max.clone()]),
        },
        Step {
            title: "A bank tries a risk factor that no insurer accepts",
            by: ("bank", 0),
            sql: "UPDATE bank_users SET risk_factor = 250\n\
                  WHERE first_name = 'John' AND last_name = 'Doe';",
            outcome: Outcome::Refused(Refusal {
                sqlstate: "23514",
                says: &["insurance", "risk_factor_range"],
            }),
        },
        Step {
            title: "The person is deleted",
            by: ("bank", 2),
            sql: "DELETE FROM bank_users WHERE first_name = 'John' AND last_name = 'Doe';",
            outcome: Outcome::Done(vec![jane, max]),
        },
    ]
}

/// Who takes part.
pub(super) fn who(counts: Counts) -> String {
    let count = |number: usize, one: &str, many: &str| {
        format!("{number} {}", if number == 1 { one } else { many })
    };
    let (banks, governments, insurances) = (
        count(counts.banks, "bank", "banks"),
        count(counts.governments, "government", "governments"),
        count(counts.insurances, "insurer", "insurers"),
    );
    format!("{banks}, {governments} and {insurances}")
}

/// Plays all steps, also after one that went wrong. True if each was as expected.
pub(super) async fn play(screen: &Screen, world: &World) -> anyhow::Result<bool> {
    let mut clients = Vec::new();
    for member in world.members() {
        clients.push(world.client(member.name()).await?);
    }
    let mut before = Snapshot::read(world, &clients).await?;
    screen.chapter("Before the first step")?;
    picture::change(screen, &before, &before)?;
    picture::legend(screen)?;
    let mut expected = before.clone();
    let mut all_as_expected = true;
    for (number, step) in steps().iter().enumerate() {
        screen.chapter(&format!("{}. {}", number + 1, step.title))?;
        let said = run(screen, world, &clients, step).await?;
        let after = Snapshot::read(world, &clients).await?;
        picture::change(screen, &before, &after)?;
        if let Outcome::Done(persons) = &step.outcome {
            expected = expectation(world, persons);
        }
        screen.check(
            said && after == expected,
            &sentence(step, after.tables.len()),
        )?;
        all_as_expected &= said && after == expected;
        before = after;
    }
    Ok(all_as_expected)
}

/// Runs the statement as the organisation's client. True if it succeeded or failed as it should.
async fn run(
    screen: &Screen,
    world: &World,
    clients: &[Client],
    step: &Step,
) -> anyhow::Result<bool> {
    let (kind, number) = step.by;
    let of_kind: Vec<usize> = (0..clients.len())
        .filter(|at| world.members()[*at].organisation().kind == kind)
        .collect();
    let speaker = of_kind[number % of_kind.len()];
    let name = world.members()[speaker].name();
    let refusal = match &step.outcome {
        Outcome::Done(_) => None,
        Outcome::Refused(refusal) => Some(refusal),
    };
    say(screen, &clients[speaker], name, step.sql, refusal).await
}

fn sentence(step: &Step, databases: usize) -> String {
    match &step.outcome {
        Outcome::Done(_) => {
            format!("all {databases} databases hold what they must, and nothing else")
        }
        Outcome::Refused(refusal) => refusal.sentence(databases),
    }
}

/// What every base table must hold: of each person, the columns that the organisation has.
fn expectation(world: &World, persons: &[Person]) -> Snapshot {
    let table = |member: &dejima_testbed::Member| {
        let rows = persons
            .iter()
            .map(|person| person.row(&member.organisation().kind))
            .collect();
        (member.name().to_owned(), rows)
    };
    Snapshot {
        tables: world.members().iter().map(table).collect(),
    }
}

impl Person {
    fn row(&self, kind: &str) -> <Rows as IntoIterator>::Item {
        let value = |column: &str| match column {
            "first_name" => Some(self.first_name),
            "last_name" => Some(self.last_name),
            "phone" => self.phone,
            "address" => self.address,
            "birthdate" => self.birthdate,
            _ => self.risk_factor,
        };
        let cell = |column: &str| match (has_column(kind, column), value(column)) {
            (false, _) => Cell::NoColumn,
            (true, None) => Cell::Null,
            (true, Some(value)) => Cell::Value(value.to_owned()),
        };
        (
            (self.first_name.to_owned(), self.last_name.to_owned()),
            COLUMNS.map(cell),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_holds_what_is_none_of_his_business() {
        let john = Person {
            first_name: "John",
            last_name: "Doe",
            phone: Some("1"),
            birthdate: Some("2"),
            risk_factor: Some("3"),
            ..Person::default()
        };
        for (kind, secret) in [
            ("bank", "birthdate"),
            ("government", "risk_factor"),
            ("insurance", "phone"),
        ] {
            let (_, row) = john.row(kind);
            let hidden: Vec<&str> = COLUMNS
                .iter()
                .zip(&row)
                .filter(|(_, cell)| **cell == Cell::NoColumn)
                .map(|(name, _)| *name)
                .collect();
            assert_eq!(hidden, [secret], "{kind}");
        }
    }
}
