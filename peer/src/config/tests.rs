//! Each mistake with its message, and which layer wins.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::*;

const BANK: &str = r#"
name = "bank"
listen = "127.0.0.1:7001"
local = "unix:/run/dejima/bank.sock"
[database]
url = "host=/var/run/postgresql dbname=bank user=dejima"
[[seed]]
table = "ShareGovBank"
peers = ["http://127.0.0.1:7002/"]
[[dejima_table]]
name = "ShareGovBank"
base_table = "public.bank_users"
key = ["first_name"]
columns = ["first_name", { name = "address", column = "home" }]
where = "phone IS NOT NULL"
defaults = [{ column = "kind", value = "person" }, { column = "since", value = 2026 }]
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            let file = folder.path().join(name);
            std::fs::create_dir_all(file.parent().expect("it has a folder")).expect("writable");
            std::fs::write(file, text).expect("writable");
        }
        Self(folder)
    }

    fn arguments(&self) -> Arguments {
        Arguments {
            config: Some(self.file("bank.toml")),
            ..Arguments::default()
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self) -> Result<Config, Error> {
        read(&self.arguments(), &BTreeMap::new())
    }
}

/// The error for a file, with the folder's name taken out.
fn mistake(text: &str) -> String {
    let folder = Folder::new(&[("bank.toml", text)]);
    let error = folder
        .read()
        .expect_err("the file has a mistake")
        .to_string();
    error.replace(&format!("{}/", folder.0.path().display()), "")
}

fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect()
}

fn table(name: &str) -> TableName {
    TableName::new(name).expect("a name")
}

#[test]
fn a_file_is_read() {
    let config = Folder::new(&[("bank.toml", BANK)])
        .read()
        .expect("it is right");
    assert_eq!(config.name.as_str(), "bank");
    assert_eq!(config.advertise, "http://127.0.0.1:7001");
    assert_eq!(config.local.to_string(), "unix:/run/dejima/bank.sock");
    assert_eq!((config.database.pool, config.threads), (16, 1));
    assert_eq!(
        config.seeds[&table("ShareGovBank")],
        ["http://127.0.0.1:7002"]
    );
    let TableDeclaration::Columns(declared) = &config.tables[0] else {
        panic!("columns of a base table");
    };
    assert_eq!(
        (
            declared.columns[1].name.as_str(),
            declared.columns[1].column.as_str()
        ),
        ("address", "home")
    );
    assert_eq!(declared.defaults[1].value.0, "2026");
    assert_eq!(declared.condition.as_deref(), Some("phone IS NOT NULL"));
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let folder = Folder::new(&[("bank.toml", BANK)]);
    let variables = environment(&[
        ("DEJIMA_LISTEN", "127.0.0.1:1"),
        ("DEJIMA_NAME", "bank-2"),
        ("DEJIMA_LIMITS_LOCK_WAIT_MS_MAX", "77"),
    ]);
    let arguments = Arguments {
        name: Some("bank-3".into()),
        threads: Some("2".into()),
        ..folder.arguments()
    };
    let config = read(&arguments, &variables).expect("all is right");
    assert_eq!(config.name.as_str(), "bank-3");
    assert_eq!(config.listen, "127.0.0.1:1");
    assert_eq!((config.limits.lock_wait_ms_max, config.threads), (77, 2));
}

#[test]
fn capitals_in_values_and_lists_survive_the_layers() {
    let folder = Folder::new(&[("bank.toml", BANK)]);
    let variables = environment(&[("DEJIMA_SEED", "ShareGovBank=http://A:1,http://b:2")]);
    let config = read(&folder.arguments(), &variables).expect("all is right");
    assert_eq!(
        config.seeds[&table("ShareGovBank")],
        ["http://A:1", "http://b:2"]
    );
    let arguments = Arguments {
        seed: vec!["ShareGovBank=http://c:3".into()],
        ..folder.arguments()
    };
    let config = read(&arguments, &variables).expect("all is right");
    assert_eq!(config.seeds[&table("ShareGovBank")], ["http://c:3"]);
}

#[test]
fn the_type_file_is_found_beside_the_file() {
    let (own, tables) = BANK.split_once("[[dejima_table]]").expect("it is there");
    let tables = format!("[[dejima_table]]{tables}");
    let own = format!("type = \"bank\"\n{own}");
    let folder = Folder::new(&[("bank.toml", &own), ("types/bank.toml", &tables)]);
    let config = folder.read().expect("all is right");
    assert_eq!((config.kind.as_str(), config.tables.len()), ("bank", 1));

    let twice = Folder::new(&[
        ("bank.toml", &format!("type = \"bank\"\n{BANK}")),
        ("types/bank.toml", &tables),
    ]);
    let error = twice.read().expect_err("declared twice").to_string();
    assert!(
        error.contains("\"ShareGovBank\" is declared twice"),
        "{error}"
    );

    let missing = Folder::new(&[("bank.toml", &own)]);
    let error = missing.read().expect_err("no type file").to_string();
    assert!(error.contains("types/bank.toml cannot be read"), "{error}");
}

#[test]
fn broken_toml_names_file_and_line() {
    assert_eq!(
        mistake(&BANK.replace("url = \"host", "url = host"))
            .lines()
            .next()
            .expect("a line")
            .split(": ")
            .next(),
        Some("bank.toml, line 6")
    );
    let said = mistake(&BANK.replace("columns =", "colums ="));
    assert!(
        said.starts_with("bank.toml, line ") && said.contains("`colums`"),
        "{said}"
    );
    let said = mistake(&BANK.replace("url =", "pool = \"many\"\nurl ="));
    assert!(
        said == "bank.toml, line 6: invalid type: string \"many\", expected a whole number",
        "{said}"
    );
    let said = mistake(&BANK.replace("\"first_name\", {", "3, {"));
    assert!(
        said == "bank.toml, line 14: a column is \"name\" or { name = \"...\", column = \"...\" }",
        "{said}"
    );
    let said = mistake(&BANK.replace("name = \"ShareGovBank\"", "name = \"\""));
    assert!(
        said.starts_with("bank.toml, line ") && said.contains("no name of a Dejima table"),
        "{said}"
    );
}

#[test]
fn a_wrong_value_names_its_origin() {
    let folder = Folder::new(&[("bank.toml", BANK)]);
    let error = read(
        &folder.arguments(),
        &environment(&[("DEJIMA_DATABASE_POOL", "many")]),
    )
    .expect_err("no number");
    let said = error.to_string();
    assert!(
        said.contains("DEJIMA_DATABASE_POOL") && said.contains("database.pool"),
        "{said}"
    );
    let arguments = Arguments {
        log_format: Some("xml".into()),
        ..folder.arguments()
    };
    let said = read(&arguments, &BTreeMap::new())
        .expect_err("no format")
        .to_string();
    assert!(
        said == "--log-format: `log.format`: \"xml\" is neither \"text\" nor \"json\"",
        "{said}"
    );
}

#[test]
fn a_missing_key_names_the_three_ways_to_say_it() {
    assert_eq!(
        mistake(&BANK.replace(
            "url = \"host=/var/run/postgresql dbname=bank user=dejima\"",
            ""
        )),
        "`database.url` is missing: say it in the file, as DEJIMA_DATABASE_URL in the environment, or by --database-url"
    );
}

#[test]
fn values_that_are_no_good_name_the_cure() {
    let cases = [
        (
            "name = \"bank\"",
            "name = \"Bank\"",
            "`name`: \"Bank\" is no peer name: use a lower-case letter",
        ),
        (
            "127.0.0.1:7001",
            "7001",
            "bank.toml, line 3: `listen`: \"7001\" is no address to listen on: use HOST:PORT",
        ),
        (
            "127.0.0.1:7001",
            "0.0.0.0:7001",
            "`advertise`: is needed, because others cannot call 0.0.0.0:7001",
        ),
        (
            "unix:/run/dejima/bank.sock",
            "http://8.8.8.8:1",
            "`local`: \"http://8.8.8.8:1\" could be reached from outside",
        ),
        (
            "unix:/run/dejima/bank.sock",
            "/run/x",
            "`local`: \"/run/x\" is no local address: use unix:/path",
        ),
        (
            "unix:/run/dejima/bank.sock",
            "unix:x",
            "`local`: \"unix:x\" needs an absolute path",
        ),
        (
            "table = \"ShareGovBank\"",
            "table = \"Other\"",
            "`seed`: \"Other\" is no Dejima table of this peer; it declares \"ShareGovBank\"",
        ),
        (
            "http://127.0.0.1:7002/",
            "127.0.0.1:7002",
            "bank.toml, line 7: `seed[0]`: \"127.0.0.1:7002\" is no peer's address: use http://HOST:PORT",
        ),
        (
            "[database]",
            "[limits]\ndelta_bytes_max = 0\n[database]",
            "bank.toml, line 6: `limits.delta_bytes_max`: must be 1 at least",
        ),
        (
            "[database]",
            "[limits]\ntransaction_ms_max = 9223372036854775807\n[database]",
            "`limits.transaction_ms_max`: must be 86400000 (a day) at most",
        ),
        (
            "[database]",
            "[database]\npool = 9223372036854775807",
            "`database.pool`: must be 262143 at most",
        ),
        (
            "http://127.0.0.1:7002/",
            "http://a b\\u001b:7002",
            "is no peer's address: use http://HOST:PORT",
        ),
        (
            "http://127.0.0.1:7002/",
            "http://a#b:7002",
            "is no peer's address: use http://HOST:PORT",
        ),
    ];
    for (right, wrong, expected) in cases {
        let said = mistake(&BANK.replace(right, wrong));
        assert!(
            said.contains(expected),
            "{said}\nshould contain\n{expected}"
        );
    }
}

#[test]
fn an_unknown_variable_is_a_warning() {
    let folder = Folder::new(&[("bank.toml", BANK)]);
    let config = read(
        &folder.arguments(),
        &environment(&[("DEJIMA_NAMES", "x"), ("HOME", "/")]),
    )
    .expect("no mistake");
    assert_eq!(
        config.warnings,
        ["the variable DEJIMA_NAMES of the environment has no meaning for a peer"]
    );
}

const CLIENTS: &str = r#"
CREATE TABLE city (id int PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE client (id int PRIMARY KEY, name text, city int NOT NULL REFERENCES city);
-- put: read city
CREATE VIEW "Clients" AS SELECT c.id, c.name, t.name AS city FROM client c JOIN city t ON c.city = t.id;
"#;

/// [`BANK`] with another Dejima table, whose section is this.
fn with_table(section: &str) -> String {
    format!("{BANK}\n[[dejima_table]]\n{section}\n")
}

#[test]
fn a_dejima_table_may_name_a_strategy_beside_the_file_that_it_is_in() {
    let section = "name = \"Clients\"\nstrategy = \"clients.sql\"";
    let beside = [
        ("bank.toml", &*with_table(section)),
        ("clients.sql", CLIENTS),
    ];
    let types = format!("[[dejima_table]]\n{section}\n");
    let own = format!("type = \"bank\"\n{BANK}");
    let in_types = [
        ("bank.toml", &*own),
        ("types/bank.toml", &*types),
        ("types/clients.sql", CLIENTS),
    ];
    for files in [&beside[..], &in_types[..]] {
        let config = Folder::new(files).read().expect("all is right");
        assert_eq!(config.tables[1].name(), &table("Clients"));
        let TableDeclaration::Program(declared) = &config.tables[1] else {
            panic!("a program");
        };
        assert_eq!(declared.program.view().columns.len(), 3);
        assert_eq!(config.warnings, [""; 0]);
    }
}

#[test]
fn a_schema_says_what_the_base_tables_are() {
    let (schema, view) = CLIENTS.split_once("-- put").expect("it is there");
    let view = format!("-- put{view}");
    let section = "name = \"Clients\"\nstrategy = \"clients.sql\"\nschema = \"tables.sql\"";
    let files = [
        ("bank.toml", &*with_table(section)),
        ("clients.sql", &*view),
        ("tables.sql", schema),
    ];
    let config = Folder::new(&files).read().expect("all is right");
    assert_eq!(config.tables.len(), 2);
}

/// The error for [`BANK`] with such a section beside such a strategy, with the folder's name taken out.
fn strategy_mistake(section: &str, strategy: &str) -> String {
    let files = [("bank.toml", &*with_table(section)), ("c.sql", strategy)];
    let folder = Folder::new(&files);
    let error = folder.read().expect_err("there is a mistake").to_string();
    error.replace(&format!("{}/", folder.0.path().display()), "")
}

#[test]
fn what_a_strategy_says_is_not_said_twice() {
    let beside = |more: &str| {
        strategy_mistake(
            &format!("name = \"Clients\"\nstrategy = \"c.sql\"\n{more}"),
            CLIENTS,
        )
    };
    for (key, value) in [
        ("base_table", "\"public.client\""),
        ("key", "[\"id\"]"),
        ("columns", "[\"id\"]"),
        ("where", "\"true\""),
        ("defaults", "[]"),
    ] {
        let said = beside(&format!("{key} = {value}"));
        assert!(
            said.starts_with("bank.toml, line ")
                && said.ends_with(&format!(
                    "`{key}` beside `strategy`: c.sql says that; take `{key}` away"
                )),
            "{said}"
        );
    }
    let said = strategy_mistake("name = \"Clients\"\nschema = \"c.sql\"", CLIENTS);
    assert!(
        said.ends_with("`schema` has a meaning beside `strategy` only"),
        "{said}"
    );
    let said = strategy_mistake("name = \"Clients\"", CLIENTS);
    assert!(said.contains("missing field `base_table`"), "{said}");
}

#[test]
fn a_strategy_that_is_not_understood_is_shown_with_its_place() {
    let section = "name = \"Clients\"\nstrategy = \"c.sql\"";
    let said = strategy_mistake(section, &CLIENTS.replace("-- put: read city\n", ""));
    assert!(
        said.starts_with("c.sql cannot be used as a strategy:\nerror: ")
            && said.contains("--> c.sql:")
            && said.contains("-- put: read city"),
        "{said}"
    );
    assert_eq!(
        strategy_mistake(section, &CLIENTS.replace("\"Clients\"", "Clients")),
        "c.sql says what Dejima table \"clients\" is, and the configuration calls it \"Clients\"; \
         give both one name (SQL and put rules have capitals in double quotes alone)"
    );
    let toml = strategy_mistake("name = \"Clients\"\nstrategy = \"bank.toml\"", CLIENTS);
    assert!(
        toml.ends_with("bank.toml is neither an SQL view (.sql) nor put rules (.dl)"),
        "{toml}"
    );
    let missing = strategy_mistake("name = \"Clients\"\nstrategy = \"none.sql\"", CLIENTS);
    assert!(
        missing.starts_with("none.sql cannot be read: "),
        "{missing}"
    );
}
