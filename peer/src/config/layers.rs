//! Lays the environment and the flags over the file, and checks the result.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use config::{Map, Source, Value};
use dejima_core::name::{PeerName, TableName};
use dejima_core::strategy::TableDeclaration;

use super::address::{self, LocalAddress};
use super::arguments::{Arguments, flag, variable};
use super::file::{self, ConfigFile, TypeFile};
use super::table::TableSection;
use super::{Config, DatabaseConfig, Error, LimitsConfig, LogConfig, LogFormat};

/// Variables that are no keys of the file.
const OTHER_VARIABLES: [&str; 2] = ["DEJIMA_CONFIG", "DEJIMA_SEED"];
/// The longest bound of waiting.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// More threads than any machine has cores.
const THREADS_MAX: usize = 1_024;
/// No server takes more (max_connections).
const POOL_MAX: usize = 262_143;

/// Reads the file that the flags name, the environment and the flags.
pub fn read(
    arguments: &Arguments,
    environment: &BTreeMap<String, String>,
) -> Result<Config, Error> {
    read_layers(arguments, environment).map_err(|error| located(error, arguments, environment))
}

/// Adds to a mistake where it was said.
fn located(error: Error, arguments: &Arguments, environment: &BTreeMap<String, String>) -> Error {
    let Error::Invalid { key, why, .. } = error else {
        return error;
    };
    let is_flag = arguments
        .values()
        .iter()
        .any(|(flag, value)| *flag == key && value.is_some());
    let place = if is_flag {
        format!("--{}: ", flag(&key))
    } else if environment.contains_key(&variable(&key)) {
        format!("{}: ", variable(&key))
    } else {
        in_file(arguments.config.as_deref(), &key).unwrap_or_default()
    };
    Error::Invalid { place, key, why }
}

fn in_file(file: Option<&Path>, key: &str) -> Option<String> {
    let file = file?;
    let line = file::line_of(&file::text(file).ok()?, key)?;
    Some(format!("{}, line {line}: ", file.display()))
}

fn read_layers(
    arguments: &Arguments,
    environment: &BTreeMap<String, String>,
) -> Result<Config, Error> {
    let (merged, own_tables) = merge(arguments, environment)?;
    let mut warnings = unknown_variables(arguments, environment);
    let file = arguments.config.as_deref();
    let tables = tables(&merged, file, own_tables, &mut warnings)?;
    let seeds = match seeds_outside(arguments, environment)? {
        Some(seeds) => seeds,
        None => seeds_of_file(&merged)?,
    };
    check_seeds(&seeds, &tables)?;
    finish(merged, tables, seeds, warnings)
}

type Seeds = BTreeMap<TableName, Vec<String>>;

fn merge(
    arguments: &Arguments,
    environment: &BTreeMap<String, String>,
) -> Result<(ConfigFile, Vec<TableSection>), Error> {
    let mut layers = config::Config::builder();
    let mut own_tables = Vec::new();
    if let Some(file) = &arguments.config {
        let text = file::text(file)?;
        own_tables = file::parse::<ConfigFile>(file, &text)?.dejima_table;
        layers = layers.add_source(config::File::from_str(&text, config::FileFormat::Toml));
    }
    let variables = arguments.values().map(|(key, _)| (key, variable(key)));
    let variables = variables
        .into_iter()
        .filter_map(|(key, name)| Some((key, environment.get(&name)?.clone(), name)));
    let flags = arguments.values().map(|(key, value)| (key, value.clone()));
    let flags = flags
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?, format!("--{}", flag(key)))));
    let merged = layers
        .add_source(Layer(variables.collect()))
        .add_source(Layer(flags.collect()))
        .build()
        .and_then(config::Config::try_deserialize::<ConfigFile>)
        .map_err(|error| Error::Value(error.to_string()))?;
    Ok((merged, own_tables))
}

/// Key, value, and where it comes from.
#[derive(Clone, Debug)]
struct Layer(Vec<(&'static str, String, String)>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        let value = |(key, value, origin): &(&str, String, String)| {
            ((*key).to_owned(), Value::new(Some(origin), value.as_str()))
        };
        Ok(self.0.iter().map(value).collect())
    }
}

fn finish(
    merged: ConfigFile,
    tables: Vec<TableDeclaration>,
    seeds: Seeds,
    warnings: Vec<String>,
) -> Result<Config, Error> {
    let invalid = |key: &'static str| move |why: String| Error::invalid(key, why);
    let listen = address::listen(&needed("listen", merged.listen)?).map_err(invalid("listen"))?;
    let advertise = match &merged.advertise {
        Some(said) => address::peer(said),
        None => address::advertised(&listen),
    };
    let name = needed("name", merged.name)?;
    Ok(Config {
        name: PeerName::new(&name).map_err(|error| Error::invalid("name", error))?,
        kind: merged.kind.unwrap_or_default(),
        listen,
        advertise: advertise.map_err(invalid("advertise"))?,
        local: LocalAddress::parse(&needed("local", merged.local)?).map_err(invalid("local"))?,
        metrics: merged
            .metrics
            .filter(|metrics| !metrics.is_empty())
            .map(|metrics| address::listen(&metrics))
            .transpose()
            .map_err(invalid("metrics"))?,
        threads: at_most("threads", merged.threads.unwrap_or(1), THREADS_MAX)?,
        database: DatabaseConfig {
            url: needed("database.url", merged.database.url)?,
            pool: at_most(
                "database.pool",
                merged.database.pool.unwrap_or(16),
                POOL_MAX,
            )?,
        },
        limits: LimitsConfig {
            transaction_ms_max: at_most_a_day(
                "limits.transaction_ms_max",
                merged.limits.transaction_ms_max.unwrap_or(4_000),
            )?,
            lock_wait_ms_max: at_most_a_day(
                "limits.lock_wait_ms_max",
                merged.limits.lock_wait_ms_max.unwrap_or(250),
            )?,
            delta_bytes_max: at_least_one(
                "limits.delta_bytes_max",
                merged.limits.delta_bytes_max.unwrap_or(256 << 20),
            )?,
            stop_ms_max: at_most_a_day(
                "limits.stop_ms_max",
                merged.limits.stop_ms_max.unwrap_or(10_000),
            )?,
            capture_bytes_max: merged.limits.capture_bytes_max.unwrap_or(4 << 30),
        },
        log: LogConfig {
            filter: merged.log.filter.unwrap_or_else(|| "info".into()),
            format: log_format(merged.log.format.as_deref().unwrap_or("text"))?,
        },
        tables,
        seeds,
        warnings,
    })
}

fn needed(key: &'static str, value: Option<String>) -> Result<String, Error> {
    let missing = || Error::Missing {
        key,
        variable: variable(key),
        flag: flag(key),
    };
    value.filter(|value| !value.is_empty()).ok_or_else(missing)
}

fn log_format(said: &str) -> Result<LogFormat, Error> {
    match said {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(Error::invalid(
            "log.format",
            format!("\"{said}\" is neither \"text\" nor \"json\""),
        )),
    }
}

fn at_least_one(key: &str, number: usize) -> Result<usize, Error> {
    if number == 0 {
        Err(Error::invalid(key, "must be 1 at least"))
    } else {
        Ok(number)
    }
}

fn at_most(key: &str, number: usize, most: usize) -> Result<usize, Error> {
    if number > most {
        Err(Error::invalid(key, format!("must be {most} at most")))
    } else {
        at_least_one(key, number)
    }
}

fn at_most_a_day(key: &str, ms: u64) -> Result<u64, Error> {
    if ms > DAY_MS {
        Err(Error::invalid(
            key,
            format!("must be {DAY_MS} (a day) at most"),
        ))
    } else {
        Ok(ms)
    }
}

/// The Dejima tables of the file and of the type file.
fn tables(
    merged: &ConfigFile,
    file: Option<&Path>,
    own: Vec<TableSection>,
    warnings: &mut Vec<String>,
) -> Result<Vec<TableDeclaration>, Error> {
    let folder = file.and_then(Path::parent).unwrap_or(Path::new(""));
    let type_file = type_file(merged, folder, own.is_empty());
    let mut all = declarations(own, folder, warnings)?;
    if let Some(type_file) = type_file {
        let sections = file::parse::<TypeFile>(&type_file, &file::text(&type_file)?)?.dejima_table;
        let folder = type_file.parent().unwrap_or(folder);
        all.extend(declarations(sections, folder, warnings)?);
    }
    let mut seen = BTreeSet::new();
    match all.iter().find(|table| !seen.insert(table.name())) {
        Some(twice) => Err(Error::invalid(
            "dejima_table",
            format!("Dejima table \"{}\" is declared twice", twice.name()),
        )),
        None => Ok(all),
    }
}

fn declarations(
    sections: Vec<TableSection>,
    folder: &Path,
    warnings: &mut Vec<String>,
) -> Result<Vec<TableDeclaration>, Error> {
    let sections = sections.into_iter();
    sections
        .map(|section| section.declaration(folder, warnings))
        .collect()
}

/// A peer whose own file declares its tables may call itself of a type that has no file.
fn type_file(merged: &ConfigFile, folder: &Path, must_be: bool) -> Option<PathBuf> {
    if let Some(said) = &merged.type_file {
        return Some(folder.join(said));
    }
    let file = folder
        .join("types")
        .join(format!("{}.toml", merged.kind.as_ref()?));
    (must_be || file.exists()).then_some(file)
}

fn seeds_of_file(merged: &ConfigFile) -> Result<Seeds, Error> {
    let mut seeds = Seeds::new();
    for (at, section) in merged.seed.iter().enumerate() {
        let key = format!("seed[{at}]");
        let table = TableName::new(&section.table).map_err(|error| Error::invalid(&key, error))?;
        for address in &section.peers {
            let address = address::peer(address).map_err(|why| Error::invalid(&key, why))?;
            seeds.entry(table.clone()).or_default().push(address);
        }
    }
    Ok(seeds)
}

/// Seeds by `--seed TABLE=URL,URL`, or else by DEJIMA_SEED, where several tables are parted by semicolons.
fn seeds_outside(
    arguments: &Arguments,
    environment: &BTreeMap<String, String>,
) -> Result<Option<Seeds>, Error> {
    let (key, said) = match environment.get("DEJIMA_SEED") {
        _ if !arguments.seed.is_empty() => ("--seed", arguments.seed.clone()),
        Some(variable) => (
            "DEJIMA_SEED",
            variable.split(';').map(str::to_owned).collect(),
        ),
        None => return Ok(None),
    };
    let mut seeds = Seeds::new();
    for said in said.iter().filter(|said| !said.is_empty()) {
        let (table, addresses) = said.split_once('=').ok_or_else(|| {
            Error::invalid(key, format!("\"{said}\" does not read TABLE=URL,URL"))
        })?;
        let table = TableName::new(table).map_err(|error| Error::invalid(key, error))?;
        for address in addresses.split(',') {
            let address = address::peer(address).map_err(|why| Error::invalid(key, why))?;
            seeds.entry(table.clone()).or_default().push(address);
        }
    }
    Ok(Some(seeds))
}

fn check_seeds(seeds: &Seeds, tables: &[TableDeclaration]) -> Result<(), Error> {
    let unknown = seeds
        .keys()
        .find(|table| !tables.iter().any(|declared| declared.name() == *table));
    let Some(unknown) = unknown else {
        return Ok(());
    };
    let declared: Vec<_> = tables
        .iter()
        .map(|table| format!("\"{}\"", table.name()))
        .collect();
    let why = format!(
        "\"{unknown}\" is no Dejima table of this peer; it declares {}",
        declared.join(", ")
    );
    Err(Error::invalid("seed", why))
}

fn unknown_variables(arguments: &Arguments, environment: &BTreeMap<String, String>) -> Vec<String> {
    let known: BTreeSet<String> = arguments
        .values()
        .iter()
        .map(|(key, _)| variable(key))
        .collect();
    let ours = environment
        .keys()
        .filter(|name| name.starts_with("DEJIMA_"));
    let unknown =
        ours.filter(|name| !known.contains(*name) && !OTHER_VARIABLES.contains(&name.as_str()));
    unknown
        .map(|name| format!("the variable {name} of the environment has no meaning for a peer"))
        .collect()
}
