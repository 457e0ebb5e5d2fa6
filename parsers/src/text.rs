//! Texts that people write: the configuration, and the statement that `dejima explain` explains.

use std::collections::BTreeMap;
use std::str;

use dejima_peer::config::{Arguments, read};

const CONFIG: &str = r#"
name = "bank"
type = "bank"
listen = "127.0.0.1:7001"
advertise = "http://bank:7001"
local = "unix:/run/dejima/bank.sock"
metrics = "127.0.0.1:9000"
threads = 2
[database]
url = "host=/var/run/postgresql dbname=bank user=dejima"
pool = 16
[limits]
transaction_ms_max = 4000
delta_bytes_max = 1000
[log]
filter = "info,dejima_peer=debug"
format = "json"
[[seed]]
table = "T"
peers = ["http://gov:7002/"]
[[dejima_table]]
name = "T"
base_table = "public.\"x;\""
key = ["a"]
columns = ["a", { name = "b", column = "c" }]
where = "c > 0"
defaults = [{ column = "d", value = 1.5 }]
"#;

/// A configuration is taken or refused, in words for a person, and what is taken keeps its bounds.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    // Another file that the operator names is read, whatever it is: a device without an end, too.
    if text.contains("type_file") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for temporary files");
    let file = folder.path().join("peer.toml");
    std::fs::write(&file, text).expect("it is ours");
    let arguments = Arguments {
        config: Some(file),
        ..Arguments::default()
    };
    match read(&arguments, &BTreeMap::new()) {
        Ok(config) => {
            assert!(config.limits.transaction_ms_max <= 86_400_000);
            assert!((1..=262_143).contains(&config.database.pool));
            let declared = |table: &_| config.tables.iter().any(|known| known.name() == table);
            assert!(config.seeds.keys().all(declared));
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A statement has changes, or an error says why it cannot be explained.
pub(crate) fn statement(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    match dejima_cli::changes_in(text) {
        Ok(changes) => assert!(changes > 0),
        Err(why) => assert!(!why.is_empty()),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        CONFIG,
        "UPDATE ONLY \"x;\" SET a = 1, (b, c) = (2, 3), d.e = 4 WHERE f = $1 RETURNING *",
        "WITH gone AS (DELETE FROM a.b USING c WHERE true RETURNING *) INSERT INTO d SELECT * FROM gone ON CONFLICT (e) DO UPDATE SET f = 1",
        "INSERT INTO t VALUES ($$;$$, E'\\'', U&'\\0041', x'ff'); MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE",
        "COPY t FROM STDIN; TRUNCATE t; DROP TABLE t",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
