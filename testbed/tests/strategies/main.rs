//! Every accepted strategy of the folder `strategies/` on a real PostgreSQL: random databases, random changes of the base tables and of
//! the Dejima table.
//!
//! What the view shows is what the evaluator says; what is derived from a change of base tables is what a comparison of the whole
//! view before and after gives; what put writes is what the evaluator says, or it refuses where the evaluator does; then the view
//! shows what was wanted, and the base tables keep their constraints. A case that fails is made smaller and shown.
//!
//! `cargo test -p dejima-testbed --test strategies -- [DATABASES [SEED]] [--only TEXT]`.

mod case;
mod database;
mod shrink;
mod tables;
mod together;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use dejima_core::strategy::program::Program;
use dejima_testbed::{Cluster, ClusterOptions, CorpusFile, Expectation, Scratch};

use case::Tally;
use database::TestDatabase;

/// Random databases for each strategy in CI.
const DATABASES: usize = 200;
/// Strategies tried at once.
const SESSIONS: usize = 2;

/// A strategy that is right.
struct Strategy {
    name: String,
    program: Arc<Program>,
}

struct Arguments {
    databases: usize,
    seed: u64,
    only: Option<String>,
}

impl Arguments {
    /// `None` if cargo asks for other tests only.
    fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut read = Self {
            databases: DATABASES,
            seed: 1,
            only: None,
        };
        let mut numbers = 0;
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => return None,
                "--only" => read.only = arguments.next(),
                "--test-threads" | "--skip" | "--color" | "--format" | "--logfile" => {
                    drop(arguments.next())
                }
                _ => match argument.parse::<u64>() {
                    Ok(number) => {
                        numbers += 1;
                        if numbers == 1 {
                            read.databases = usize::try_from(number).ok()?;
                        } else {
                            read.seed = number;
                        }
                    }
                    Err(_) if argument.starts_with('-') || "strategies".contains(&argument) => {}
                    Err(_) => return None,
                },
            }
        }
        Some(read)
    }
}

fn main() -> ExitCode {
    let Some(arguments) = Arguments::parse(std::env::args().skip(1)) else {
        return ExitCode::SUCCESS;
    };
    let mut strategies = accepted();
    if let Some(only) = &arguments.only {
        strategies.retain(|strategy| strategy.name.contains(only));
    }
    let started = Instant::now();
    let scratch = Scratch::new().expect("a scratch folder");
    let cluster = Cluster::start(&scratch, ClusterOptions::named("strategies")).expect("a server");
    let next = AtomicUsize::new(0);
    let failed = AtomicUsize::new(0);
    if arguments.only.is_none() {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let checked = runtime.block_on(async {
            let mut database = TestDatabase::create(&cluster, "together").await;
            together::check(&mut database).await
        });
        match checked {
            Ok(()) => println!("two transactions at once: as expected"),
            Err(why) => {
                failed.fetch_add(1, Ordering::Relaxed);
                println!("two transactions at once FAILED\n{why}\n");
            }
        }
    }
    let session = |number: usize| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let mut tally = Tally::default();
        runtime.block_on(async {
            let mut database = TestDatabase::create(&cluster, &format!("s{number}")).await;
            while let Some(strategy) = strategies.get(next.fetch_add(1, Ordering::Relaxed)) {
                match one(&mut database, strategy, &arguments).await {
                    Ok(found) => tally = tally + found,
                    Err(why) => {
                        failed.fetch_add(1, Ordering::Relaxed);
                        println!("{} FAILED\n{why}\n", strategy.name);
                        database = TestDatabase::create(
                            &cluster,
                            &format!("s{number}_{}", next.load(Ordering::Relaxed)),
                        )
                        .await;
                    }
                }
            }
        });
        tally
    };
    let tally = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..SESSIONS)
            .map(|number| scope.spawn(move || session(number)))
            .collect();
        let tallies = threads
            .into_iter()
            .map(|thread| thread.join().expect("a session does not panic"));
        tallies.fold(Tally::default(), |sum, tally| sum + tally)
    });
    let failed = failed.load(Ordering::Relaxed);
    println!(
        "{} strategies, {tally}, {failed} failed ({:.0} s)",
        strategies.len(),
        started.elapsed().as_secs_f32()
    );
    if failed == 0 && !strategies.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn one(
    database: &mut TestDatabase,
    strategy: &Strategy,
    arguments: &Arguments,
) -> Result<Tally, String> {
    let mut bed = database.strategy(&strategy.program).await?;
    let started = Instant::now();
    let mut tally = Tally::default();
    for number in 0..arguments.databases {
        if number == arguments.databases / 2 {
            bed.exchange_few_and_many().await?;
        }
        let seed = arguments
            .seed
            .wrapping_mul(1_000_003)
            .wrapping_add(number as u64);
        tally = tally + case::one(&mut bed, seed).await?;
    }
    println!(
        "{:5.2} s  {}: {tally}",
        started.elapsed().as_secs_f32(),
        strategy.name
    );
    bed.clear().await?;
    Ok(tally)
}

/// The strategies whose head expects that they are proved.
fn accepted() -> Vec<Strategy> {
    let names = CorpusFile::names().expect("the folder is there");
    names.iter().filter_map(|name| strategy(name)).collect()
}

fn strategy(name: &str) -> Option<Strategy> {
    let file = CorpusFile::open(name).expect("a file with a head");
    if file.head.expectation != Expectation::Proved {
        return None;
    }
    let program = file.reading().expect("it is there").program;
    Some(Strategy {
        program: Arc::new(program.expect("it can be read")),
        name: file.name,
    })
}
