//! The strategies of the folder `strategies/`, and what each of them says of itself.

mod head;

use std::path::{Path, PathBuf};

use dejima_core::strategy::language::{File, Format, Reading, read};

pub use head::{Expectation, Head};

/// A strategy of the corpus.
#[derive(Debug)]
pub struct CorpusFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its place in the folder: `refuted/second_insert.dl`.
    pub name: String,
    /// What it says.
    pub text: String,
    /// What it says of itself.
    pub head: Head,
}

impl CorpusFile {
    /// The places in the folder of all strategies, in order; schemas are none.
    pub fn names() -> std::io::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut open = vec![folder()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    if path.file_name().is_none_or(|name| name != "schema") {
                        open.push(path);
                    }
                } else if path.extension().is_some_and(|ending| ending != "md") {
                    found.push(name(&path));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The strategy at that place; an error says what its head lacks.
    pub fn open(name: &str) -> Result<Self, String> {
        let path = folder().join(name);
        let text = content(&path)?;
        Ok(Self {
            head: Head::read(&text).map_err(|why| format!("{name}: {why}"))?,
            name: name.to_owned(),
            path,
            text,
        })
    }

    /// What it means, with the schema that its head names.
    pub fn reading(&self) -> Result<Reading, String> {
        let format = Format::of(&self.name).ok_or("nobody knows what it is written in")?;
        let schema = match &self.head.schema {
            Some(schema) => Some(content(&self.path.with_file_name(schema))?),
            None => None,
        };
        let schema = schema.as_ref().map(|text| File {
            name: "schema.sql",
            text,
        });
        let file = File {
            name: &self.name,
            text: &self.text,
        };
        let reading = read(file, format, schema).pop();
        reading.ok_or_else(|| "nothing was read".to_owned())
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../strategies")
}

fn name(path: &Path) -> String {
    let inside = path.strip_prefix(folder()).unwrap_or(path);
    inside.display().to_string()
}

fn content(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
