//! The Dejima table itself: an updatable view.

use super::{Strategy, identifier};

/// Creates or replaces the view.
pub(super) fn create(strategy: &Strategy) -> String {
    let columns: Vec<_> = strategy
        .pairs()
        .map(|(name, base)| format!("{} AS {}", identifier(&base.name), identifier(name)))
        .collect();
    let (condition, check) = match &strategy.condition {
        Some(_) => (
            format!("\nWHERE {}", strategy.shows()),
            "\nWITH CASCADED CHECK OPTION",
        ),
        None => (String::new(), ""),
    };
    format!(
        "CREATE OR REPLACE VIEW {} AS\nSELECT {}\nFROM {}{condition}{check}",
        name(strategy),
        columns.join(", "),
        strategy.base.sql_name(),
    )
}

/// Drops the view, and nothing that somebody else built on it.
pub(super) fn remove(strategy: &Strategy) -> String {
    format!("DROP VIEW IF EXISTS {}", name(strategy))
}

/// The quoted and qualified name of the view.
pub(super) fn name(strategy: &Strategy) -> String {
    format!("dejima_tables.{}", identifier(strategy.table.as_str()))
}
