//! Organisations: what each one has of its own, what it shares with whom, and the worked example.

use std::collections::BTreeSet;
use std::fmt::Write;

/// One organisation: a base schema of its own, and the Dejima tables over it.
#[derive(Clone, Debug)]
pub struct Organisation {
    /// The name of its peer, its database and its client role.
    pub name: String,
    /// The peer's type: the name of the file of declarations.
    pub kind: String,
    /// SQL that makes the base tables (run as superuser).
    pub base_sql: String,
    /// The base tables, as SQL writes them; role dejima and the client get their rights on these.
    pub base_tables: Vec<String>,
    /// The text of `types/KIND.toml`.
    pub declarations: String,
    /// Files beside it that the declarations name, with their text.
    pub strategies: Vec<(String, String)>,
    /// The Dejima tables declared there, and for each the organisations that this one is told of.
    pub shares: Vec<Share>,
    /// Added to the peer's configuration file, before the seeds; for `[limits]`, say.
    pub more_configuration: String,
}

/// A Dejima table of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// The Dejima table.
    pub table: String,
    /// Names of organisations whose peers are its seeds. None: this organisation founds it.
    pub seeds: Vec<String>,
}

/// How many organisations of each kind the worked example has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// They know phone, address and risk factor.
    pub banks: usize,
    /// They know phone, address and birth date.
    pub governments: usize,
    /// They know address, birth date and risk factor.
    pub insurances: usize,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            banks: 1,
            governments: 1,
            insurances: 1,
        }
    }
}

/// A kind of organisation of the worked example.
struct Kind {
    name: &'static str,
    base_sql: &'static str,
    base_table: &'static str,
    tables: [(&'static str, &'static [&'static str]); 2],
}

/// The columns that name a person.
pub(crate) const KEY: [&str; 2] = ["first_name", "last_name"];

const GOV_BANK: (&str, &[&str]) = (
    "ShareGovBank",
    &["first_name", "last_name", "phone", "address"],
);
const GOV_INSURANCE: (&str, &[&str]) = (
    "ShareGovInsurance",
    &["first_name", "last_name", "address", "birthdate"],
);
const RISK_FACTOR: (&str, &[&str]) = (
    "ShareRiskFactor",
    &["first_name", "last_name", "risk_factor"],
);

const BANK: Kind = Kind {
    name: "bank",
    base_table: "bank_users",
    base_sql: "CREATE TABLE bank_users (
    first_name text, last_name text,
    phone text, address text, risk_factor integer,
    PRIMARY KEY (first_name, last_name)
)",
    tables: [GOV_BANK, RISK_FACTOR],
};

const GOVERNMENT: Kind = Kind {
    name: "government",
    base_table: "government_users",
    base_sql: "CREATE TABLE government_users (
    first_name text, last_name text,
    phone text, address text, birthdate date,
    PRIMARY KEY (first_name, last_name)
)",
    tables: [GOV_BANK, GOV_INSURANCE],
};

const INSURANCE: Kind = Kind {
    name: "insurance",
    base_table: "insurance_users",
    base_sql: "CREATE TABLE insurance_users (
    first_name text, last_name text,
    address text, birthdate date, risk_factor integer,
    PRIMARY KEY (first_name, last_name),
    CONSTRAINT risk_factor_range CHECK (risk_factor BETWEEN 0 AND 100)
)",
    tables: [GOV_INSURANCE, RISK_FACTOR],
};

/// Banks, governments and insurances that share persons. With one of a kind it is called `bank`, with more
/// `bank-1`, `bank-2` and so on. Who comes first founds a Dejima table, the others are told of the first.
pub fn worked_example(counts: Counts) -> Vec<Organisation> {
    let kinds = [
        (BANK, counts.banks),
        (GOVERNMENT, counts.governments),
        (INSURANCE, counts.insurances),
    ];
    let mut founders: Vec<(&str, String)> = Vec::new();
    let mut organisations = Vec::new();
    for (kind, count) in &kinds {
        for number in 1..=*count {
            let name = if *count == 1 {
                kind.name.to_owned()
            } else {
                format!("{}-{number}", kind.name)
            };
            organisations.push(kind.organisation(name, &mut founders));
        }
    }
    organisations
}

/// The base table of a kind of organisation of the worked example, with the columns beside the key. Panics if there
/// is no such kind, because kinds are written in the program.
pub(crate) fn base_table_of(kind: &str) -> (&'static str, Vec<&'static str>) {
    let found = Kind::named(kind);
    let columns: BTreeSet<&str> = found
        .tables
        .iter()
        .flat_map(|(_, columns)| columns.iter().copied())
        .filter(|column| !KEY.contains(column))
        .collect();
    (found.base_table, columns.into_iter().collect())
}

impl Organisation {
    /// A bank, a government or an insurance of the worked example that knows whom it likes. Panics if there is no such
    /// kind, because kinds are written in the program.
    pub fn of_kind(kind: &str, name: &str, shares: Vec<Share>) -> Self {
        let kind = Kind::named(kind);
        Self {
            name: name.to_owned(),
            kind: kind.name.to_owned(),
            base_sql: kind.base_sql.to_owned(),
            base_tables: vec![kind.base_table.to_owned()],
            declarations: kind.declarations(&shares),
            shares,
            strategies: vec![],
            more_configuration: String::new(),
        }
    }
}

impl Kind {
    fn named(name: &str) -> Self {
        let mut kinds = [BANK, GOVERNMENT, INSURANCE].into_iter();
        let found = kinds.find(|kind| kind.name == name);
        found.expect("the worked example has a kind of this name")
    }

    fn organisation(
        &self,
        name: String,
        founders: &mut Vec<(&'static str, String)>,
    ) -> Organisation {
        let mut shares = Vec::new();
        for (table, _) in &self.tables {
            let founder = founders
                .iter()
                .find(|(founded, _)| founded == table)
                .map(|(_, peer)| peer.clone());
            if founder.is_none() {
                founders.push((table, name.clone()));
            }
            shares.push(Share {
                table: (*table).to_owned(),
                seeds: founder.into_iter().collect(),
            });
        }
        Organisation::of_kind(self.name, &name, shares)
    }

    fn declarations(&self, shares: &[Share]) -> String {
        let mut text = format!("# The Dejima tables of every {}.\n", self.name);
        let is_shared = |table: &str| shares.iter().any(|share| share.table == table);
        for (table, columns) in self.tables.iter().filter(|(table, _)| is_shared(table)) {
            let columns: Vec<String> = columns.iter().map(|column| format!("{column:?}")).collect();
            write!(
                text,
                "\n[[dejima_table]]\nname = \"{table}\"\nbase_table = \"public.{}\"\n\
                 key = [\"first_name\", \"last_name\"]\ncolumns = [{}]\n",
                self.base_table,
                columns.join(", "),
            )
            .expect("writing to a string cannot fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dejima_table_has_one_founder() {
        let organisations = worked_example(Counts {
            banks: 3,
            governments: 2,
            insurances: 2,
        });
        let names: Vec<&str> = organisations.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "bank-1",
                "bank-2",
                "bank-3",
                "government-1",
                "government-2",
                "insurance-1",
                "insurance-2"
            ]
        );
        let shares = organisations
            .iter()
            .flat_map(|o| o.shares.iter().map(|share| (o.name.as_str(), share)));
        let founded: Vec<(&str, &str)> = shares
            .filter(|(_, share)| share.seeds.is_empty())
            .map(|(name, share)| (name, share.table.as_str()))
            .collect();
        assert_eq!(
            founded,
            [
                ("bank-1", "ShareGovBank"),
                ("bank-1", "ShareRiskFactor"),
                ("government-1", "ShareGovInsurance")
            ]
        );
    }

    #[test]
    fn a_declaration_reads_as_documented() {
        let bank = worked_example(Counts::default()).remove(0);
        assert_eq!(
            bank.declarations,
            r#"# The Dejima tables of every bank.

[[dejima_table]]
name = "ShareGovBank"
base_table = "public.bank_users"
key = ["first_name", "last_name"]
columns = ["first_name", "last_name", "phone", "address"]

[[dejima_table]]
name = "ShareRiskFactor"
base_table = "public.bank_users"
key = ["first_name", "last_name"]
columns = ["first_name", "last_name", "risk_factor"]
"#
        );
    }
}
