//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::output::Output;

/// Share rows with other organisations by plain SQL: the operator's and developer's command for a Dejima peer.
#[derive(Debug, Parser)]
#[command(name = "dejima", version, propagate_version = true)]
pub(crate) struct Arguments {
    /// Address of the peer, as `local` in its configuration: unix:/path or http://host:port.
    #[arg(long, global = true, env = "DEJIMA_PEER", value_name = "ADDRESS")]
    pub(crate) peer: Option<String>,
    /// Tables for people or JSON for programs; JSON has the field names of operator.proto.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Boot banks, governments and insurers on this machine and watch them share a person.
    Demo(Demo),
    /// Insert a row into a base table.
    Insert(Insert),
    /// Update the rows of a base table that have a key.
    Update(Update),
    /// Delete the rows of a base table that have a key.
    Delete(Delete),
    /// Run SQL at the peer's own database, from the argument or from standard input.
    Sql(Sql),
    /// Who this peer is and whom it knows.
    Peers,
    /// Each Dejima table of the peer and the peers that share it, and the peer groups: what depends on what.
    Groups {
        /// Instead: what it took to detect them, since the peer started.
        #[arg(long)]
        stats: bool,
    },
    /// Each Dejima table of the peer and how it lies over the base tables.
    Tables,
    /// What an UPDATE, INSERT or DELETE would write, and which peers would hear of it. Nothing is executed.
    Explain(Explain),
    /// Global transactions in flight at the peer.
    #[command(subcommand)]
    Tx(Tx),
    /// Examine the peer, its database and whom it shares with. Ends with 0: all is well, 1: warnings, 2: critical,
    /// 3: it could not be examined.
    Doctor {
        /// Also what is well.
        #[arg(long)]
        all: bool,
        /// Also compare the copies of each Dejima table with the other members'; reads all rows everywhere.
        #[arg(long)]
        copies: bool,
    },
    /// Check and explain strategies: how a Dejima table and your tables correspond. Needs neither a peer nor a database.
    #[command(subcommand)]
    Strategy(Strategy),
    /// Install role and schema `dejima` into a database.
    Install(Install),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the man page of dejima, or of one of its commands.
    Man {
        /// The command.
        command: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Strategy {
    /// Prove that strategies do what they should, or show the smallest case in which they do not. Ends with 0: all are proved,
    /// 1: one is refuted, 2: none is refuted, but one is not proved, 3: one cannot be read.
    Check(StrategyCheck),
    /// Show the put rules that a strategy comes to, and which base columns its Dejima table hangs on.
    Explain(StrategyFile),
    /// Print the SQL that a strategy becomes, for review. Nothing is connected to, and nothing is run.
    Sql(StrategyFile),
    /// Make the peer's database serve the Dejima tables of its configuration: show what changes, ask, and do it in one
    /// transaction. Ends with 0: done, or nothing to do, 1: it failed or was refused, 4: shown, and not done.
    Apply(StrategyApply),
}

#[derive(Debug, Args)]
pub(crate) struct StrategyCheck {
    /// SQL views (.sql), put rules (.dl), declarations (.toml).
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// CREATE TABLE statements of the base tables, for files that do not have them.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
    /// How long the solver may think about one question.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    pub(crate) solver_timeout: u64,
}

#[derive(Debug, Args)]
pub(crate) struct StrategyFile {
    /// An SQL view (.sql), put rules (.dl), or declarations (.toml).
    pub(crate) file: PathBuf,
    /// CREATE TABLE statements of the base tables, if the file does not have them.
    #[arg(long, value_name = "FILE")]
    pub(crate) schema: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct StrategyApply {
    /// The peer's configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// Do not ask.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Go back to what was there before it was applied last.
    #[arg(long)]
    pub(crate) undo: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Tx {
    /// List all.
    List,
    /// Show one, with the rows that it wrote and the locks that it holds.
    Show {
        /// Its gid, as `tx list` and the log show it.
        gid: String,
    },
    /// End one that is in doubt. What somebody knows to be decided is carried out, whatever is chosen here.
    Resolve(Resolve),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("decision").required(true))]
pub(crate) struct Resolve {
    /// Its gid, as `tx list` and the log show it.
    pub(crate) gid: String,
    /// Make it visible here.
    #[arg(long, group = "decision")]
    pub(crate) commit: bool,
    /// Undo it here.
    #[arg(long, group = "decision")]
    pub(crate) abort: bool,
    /// Do not ask, although nobody knows the decision and the copies may differ for ever.
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Demo {
    /// End after the story, with status 0 if everything was as expected.
    #[arg(long)]
    pub(crate) once: bool,
    /// Which example is played.
    #[arg(long, value_name = "EXAMPLE", default_value = "persons")]
    pub(crate) example: Example,
    /// How often both alliances of example rides want the same vehicle.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub(crate) contests: u32,
    /// Number of banks.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(crate) banks: u8,
    /// Number of governments.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(crate) governments: u8,
    /// Number of insurances.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub(crate) insurances: u8,
}

/// The examples of the demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Example {
    /// A bank, a government and an insurer share persons.
    Persons,
    /// Providers of vehicles and two alliances that assign rides to them.
    Rides,
}

/// Where to run SQL, and as whom.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Connection string of the database; without it the peer is asked where its database is.
    #[arg(long, env = "DEJIMA_DATABASE", value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Role to log in as, if the connection string names none; without it the user of the operating system.
    #[arg(short = 'U', long, env = "PGUSER", value_name = "ROLE")]
    pub(crate) user: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Insert {
    /// The base table, written as in SQL: bank_users, public.bank_users, "Bank Users".
    pub(crate) table: String,
    /// Columns (by their exact names) and values; `phone=` is the empty text, not NULL.
    #[arg(value_name = "COLUMN=VALUE", required = true, value_parser = assignment)]
    pub(crate) values: Vec<Assignment>,
    /// Set a column to NULL.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) null: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// The base table, written as in SQL: bank_users, public.bank_users, "Bank Users".
    pub(crate) table: String,
    /// Columns and values that choose the rows.
    #[arg(long, value_name = "COLUMN=VALUE", required = true, num_args = 1.., value_parser = assignment)]
    pub(crate) key: Vec<Assignment>,
    /// Columns and their new values; `phone=` is the empty text, not NULL.
    #[arg(long, value_name = "COLUMN=VALUE", required_unless_present = "null", num_args = 1.., value_parser = assignment)]
    pub(crate) set: Vec<Assignment>,
    /// Set a column to NULL.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) null: Vec<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Delete {
    /// The base table, written as in SQL: bank_users, public.bank_users, "Bank Users".
    pub(crate) table: String,
    /// Columns and values that choose the rows.
    #[arg(long, value_name = "COLUMN=VALUE", required = true, num_args = 1.., value_parser = assignment)]
    pub(crate) key: Vec<Assignment>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// One or more statements (one transaction, unless they say otherwise); without them, standard input.
    pub(crate) sql: Option<String>,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// One or more statements (one transaction).
    pub(crate) sql: String,
    #[command(flatten)]
    pub(crate) place: Place,
}

#[derive(Debug, Args)]
pub(crate) struct Install {
    /// Connection string of the database, as a superuser.
    #[arg(long, value_name = "SUPERUSER_URL", required_unless_present = "print")]
    pub(crate) database: Option<String>,
    /// Name of the peer that the database belongs to.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: String,
    /// Absolute path of the program dejima-callback, on the machine of the database server.
    #[arg(long, value_name = "PATH")]
    pub(crate) helper: PathBuf,
    /// Address at which the program reaches the peer, as `local` in its configuration.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) callback: String,
    /// Print the SQL instead of running it.
    #[arg(long)]
    pub(crate) print: bool,
}

/// A column and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) column: String,
    pub(crate) value: String,
}

fn assignment(text: &str) -> Result<Assignment, String> {
    match text.split_once('=') {
        Some((column, value)) if !column.is_empty() => Ok(Assignment {
            column: column.to_owned(),
            value: value.to_owned(),
        }),
        _ => Err("write COLUMN=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_value_may_hold_anything() {
        let expected = Assignment {
            column: "note".into(),
            value: "a=b; --".into(),
        };
        assert_eq!(assignment("note=a=b; --"), Ok(expected));
        assert_eq!(assignment("note=").map(|a| a.value), Ok(String::new()));
        assert!(assignment("note").is_err());
        assert!(assignment("=x").is_err());
    }

    #[test]
    fn one_decision_must_be_chosen() {
        let parse = |line: &str| Arguments::try_parse_from(line.split(' ')).is_ok();
        assert!(parse("dejima tx resolve bank:1 --commit"));
        assert!(parse("dejima tx resolve bank:1 --abort --yes"));
        assert!(!parse("dejima tx resolve bank:1"));
        assert!(!parse("dejima tx resolve bank:1 --commit --abort"));
    }

    #[test]
    fn a_statement_is_explained_as_somebody() {
        let words = ["dejima", "explain", "-U", "bank", "UPDATE t SET a = 1"];
        let Command::Explain(explain) = Arguments::parse_from(words).command else {
            panic!("an explanation");
        };
        let expected = ("UPDATE t SET a = 1", Some("bank"));
        assert_eq!((&*explain.sql, explain.place.user.as_deref()), expected);
        assert!(Arguments::try_parse_from(["dejima", "explain"]).is_err());
    }

    #[test]
    fn keys_and_values_may_come_in_one_option_or_in_several() {
        let line = "dejima update t --key a=1 b=2 --key c=3 --set d=4 e=5 --null f";
        let Command::Update(update) = Arguments::parse_from(line.split(' ')).command else {
            panic!("an update");
        };
        let columns = |assignments: &[Assignment]| {
            assignments
                .iter()
                .map(|a| a.column.clone())
                .collect::<String>()
        };
        assert_eq!(
            (columns(&update.key), columns(&update.set), update.null),
            ("abc".into(), "de".into(), vec!["f".into()])
        );
    }
}
