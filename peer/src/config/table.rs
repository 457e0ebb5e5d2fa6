//! A `[[dejima_table]]`: columns of one base table, or a strategy in a file of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dejima_core::name::TableName;
use dejima_core::strategy::language::{File, Format, Reading, Severity, read};
use dejima_core::strategy::{
    ColumnDefault, ColumnMapping, Declaration, TableDeclaration, TableProgram,
};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::{Error, file};

/// A section as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TableSection {
    /// It says everything itself.
    Columns(Declaration),
    /// It names a file.
    Strategy(StrategySection),
}

/// A section that names a strategy; its files are found from the folder of the file that the section is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StrategySection {
    pub(super) name: TableName,
    /// An SQL view or put rules.
    strategy: PathBuf,
    /// CREATE TABLE statements of its base tables.
    schema: Option<PathBuf>,
}

/// All keys that a section may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: TableName,
    base_table: Option<String>,
    key: Option<Vec<String>>,
    columns: Option<Vec<ColumnMapping>>,
    #[serde(rename = "where")]
    condition: Option<String>,
    defaults: Option<Vec<ColumnDefault>>,
    strategy: Option<PathBuf>,
    schema: Option<PathBuf>,
}

impl<'de> Deserialize<'de> for TableSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let section = match written.strategy.clone() {
            Some(strategy) => written.strategy(strategy).map(Self::Strategy),
            None => written.columns().map(Self::Columns),
        };
        section.map_err(D::Error::custom)
    }
}

impl Written {
    /// What the keys say of columns of a base table.
    fn columns(self) -> Result<Declaration, String> {
        let missing =
            |key| format!("missing field `{key}`, or `strategy`, a file that says what is shown");
        if self.schema.is_some() {
            return Err("`schema` has a meaning beside `strategy` only".into());
        }
        Ok(Declaration {
            name: self.name,
            base_table: self.base_table.ok_or_else(|| missing("base_table"))?,
            key: self.key.ok_or_else(|| missing("key"))?,
            columns: self.columns.ok_or_else(|| missing("columns"))?,
            condition: self.condition,
            defaults: self.defaults.unwrap_or_default(),
        })
    }

    /// Whatever a strategy says must not be said a second time.
    fn strategy(self, strategy: PathBuf) -> Result<StrategySection, String> {
        let beside = [
            ("base_table", self.base_table.is_some()),
            ("key", self.key.is_some()),
            ("columns", self.columns.is_some()),
            ("where", self.condition.is_some()),
            ("defaults", self.defaults.is_some()),
        ];
        if let Some((key, _)) = beside.iter().find(|(_, is_said)| *is_said) {
            let file = strategy.display();
            return Err(format!(
                "`{key}` beside `strategy`: {file} says that; take `{key}` away"
            ));
        }
        Ok(StrategySection {
            name: self.name,
            strategy,
            schema: self.schema,
        })
    }
}

impl TableSection {
    /// What is declared; reads the strategy's files. Adds what is strange in them but no mistake to the warnings.
    pub(super) fn declaration(
        self,
        folder: &Path,
        warnings: &mut Vec<String>,
    ) -> Result<TableDeclaration, Error> {
        match self {
            Self::Columns(declaration) => Ok(declaration.into()),
            Self::Strategy(section) => section
                .program(folder, warnings)
                .map(TableDeclaration::Program),
        }
    }
}

impl StrategySection {
    fn program(self, folder: &Path, warnings: &mut Vec<String>) -> Result<TableProgram, Error> {
        let path = folder.join(&self.strategy);
        let name = path.display().to_string();
        let format = Format::of(&name).filter(|format| *format != Format::Toml);
        let format = format.ok_or_else(|| {
            let why = format!("{name} is neither an SQL view (.sql) nor put rules (.dl)");
            Error::invalid("dejima_table.strategy", why)
        })?;
        let text = file::text(&path)?;
        let schema = self.schema.map(|schema| folder.join(schema));
        let schema = match &schema {
            Some(path) => Some((path.display().to_string(), file::text(path)?)),
            None => None,
        };
        let schema = schema.as_ref().map(|(name, text)| File { name, text });
        let file = File {
            name: &name,
            text: &text,
        };
        // Such a file has one Dejima table.
        let reading = read(file, format, schema).remove(0);
        let findings = findings(&reading);
        let Some(program) = reading.program else {
            return Err(Error::Strategy {
                file: path,
                findings,
            });
        };
        if !findings.is_empty() {
            warnings.push(findings);
        }
        let view = &program.view().name;
        if view != self.name.as_str() {
            return Err(Error::StrategyName {
                file: path,
                view: view.clone(),
                name: self.name,
            });
        }
        Ok(TableProgram {
            table: self.name,
            program: Arc::new(program),
        })
    }
}

/// As `dejima strategy check` shows them; errors alone if there are any.
fn findings(reading: &Reading) -> String {
    let is_error = |severity| severity == Severity::Error;
    let only_errors = reading
        .findings
        .iter()
        .any(|finding| is_error(finding.severity));
    let shown = reading
        .findings
        .iter()
        .filter(|finding| !only_errors || is_error(finding.severity));
    let shown: Vec<_> = shown
        .map(|finding| finding.render(&reading.sources))
        .collect();
    shown.join("\n").trim_end().to_owned()
}
