//! Random scripts.

mod part;
mod statement;

use dejima_simulator::random::Random;

use crate::script::{Ending, Script, Step, Transaction};
use crate::statement::Statement;

/// Transactions of a script, and steps of a transaction.
const TRANSACTIONS: u64 = 18;
const STEPS_MAX: u64 = 60;
/// Savepoints in savepoints.
const DEPTH_MAX: usize = 4;

/// The empty one is the default, and as frequent as all others.
const ISOLATIONS: [&str; 6] = [
    "",
    "",
    "",
    "READ COMMITTED",
    "REPEATABLE READ",
    "SERIALIZABLE",
];

/// Has rights on the tables, and none on schema dejima.
const STRANGER: &str = "role = stranger";

/// What may change how values are written or read, how statements are planned, and where names are found.
const SETTINGS: [&str; 32] = [
    STRANGER,
    STRANGER,
    "search_path = decoy, public",
    "search_path = decoy, pg_catalog",
    "search_path = ''",
    "DateStyle = 'German'",
    "DateStyle = 'SQL, DMY'",
    "DateStyle = 'Postgres, MDY'",
    "IntervalStyle = sql_standard",
    "IntervalStyle = iso_8601",
    "TimeZone = 'America/New_York'",
    "TimeZone = 'Asia/Kathmandu'",
    "extra_float_digits = 0",
    "extra_float_digits = -15",
    "bytea_output = escape",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "array_nulls = off",
    "transform_null_equals = on",
    "quote_all_identifiers = on",
    "row_security = off",
    "enable_seqscan = off",
    "enable_hashjoin = off",
    "enable_nestloop = off",
    "enable_sort = off",
    "plan_cache_mode = force_generic_plan",
    "plan_cache_mode = force_custom_plan",
    "enable_material = off",
    "join_collapse_limit = 1",
    "work_mem = '64kB'",
    "synchronous_commit = off",
    "plpgsql.extra_errors = 'all'",
];

/// A script. The first transaction fills the tables.
pub(crate) fn script(random: &mut Random) -> Script {
    let mut transactions = vec![filling(random)];
    transactions.extend((1..TRANSACTIONS).map(|_| transaction(random)));
    Script { transactions }
}

fn filling(random: &mut Random) -> Transaction {
    Transaction {
        isolation: "",
        settings: Vec::new(),
        steps: statement::filling(random)
            .into_iter()
            .map(guarded)
            .collect(),
        ending: Ending::Commit,
    }
}

fn transaction(random: &mut Random) -> Transaction {
    let mut settings = Vec::new();
    while random.chance(300) {
        settings.push(random.one_of(&SETTINGS));
    }
    let length = 1 + random.below(STEPS_MAX);
    let mut steps = steps(random, length, 1);
    // Takes the vote early.
    if random.chance(80) {
        let at = if random.chance(800) {
            steps.len()
        } else {
            random.index(steps.len())
        };
        steps.insert(at, immediate());
    }
    // Takes it early, and gives it back: nothing of the transaction may be anywhere.
    if random.chance(20) {
        let mut lost = self::steps(random, 3, DEPTH_MAX);
        lost.insert(random.index(lost.len() + 1), immediate());
        steps.insert(
            random.index(steps.len() + 1),
            Step::Savepoint {
                steps: lost,
                released: false,
            },
        );
    }
    // Only who has prepared a transaction may end it, and the role is the transaction's alone.
    let ending = match ending(random) {
        Ending::Prepare { .. } if settings.contains(&STRANGER) => Ending::Commit,
        ending => ending,
    };
    Transaction {
        isolation: random.one_of(&ISOLATIONS),
        settings,
        steps,
        ending,
    }
}

fn ending(random: &mut Random) -> Ending {
    match random.below(100) {
        0..=6 => Ending::Rollback,
        7..=12 => Ending::Prepare {
            commits: random.chance(700),
        },
        _ => Ending::Commit,
    }
}

/// Most statements have a savepoint of their own, so that one that fails ends nothing else.
fn steps(random: &mut Random, length: u64, depth: usize) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut left = length;
    while left > 0 {
        left -= 1;
        if depth < DEPTH_MAX && random.chance(100) {
            let inner = 1 + random.below(6);
            left = left.saturating_sub(inner);
            steps.push(Step::Savepoint {
                steps: self::steps(random, inner, depth + 1),
                released: random.chance(500),
            });
            continue;
        }
        let statement = statement::any(random);
        // A transaction should seldom be lost as a whole.
        let bare = random.chance(20);
        steps.push(if bare {
            Step::Run(statement)
        } else {
            guarded(statement)
        });
    }
    steps
}

fn immediate() -> Step {
    Step::Run(Statement::Plain("SET CONSTRAINTS ALL IMMEDIATE".to_owned()))
}

fn guarded(statement: Statement) -> Step {
    Step::Savepoint {
        steps: vec![Step::Run(statement)],
        released: true,
    }
}
