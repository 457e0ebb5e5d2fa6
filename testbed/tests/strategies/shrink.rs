//! Making a case that fails smaller.

use dejima_core::strategy::check::Case;
use dejima_core::strategy::evaluate::{Database, get};

use crate::case::{BaseChange, Way, derived, put};
use crate::database::Bed;

/// The smallest case found that fails still.
pub(crate) async fn shrunk(bed: &Bed<'_>, case: Case, way: Way) -> Case {
    let mut smallest = case;
    'smaller: loop {
        for candidate in smaller(bed, &smallest) {
            if put(bed, &candidate, way).await.is_err() {
                smallest = candidate;
                continue 'smaller;
            }
        }
        return smallest;
    }
}

fn smaller(bed: &Bed<'_>, case: &Case) -> Vec<Case> {
    let shown = get(&bed.program, &case.before).unwrap_or_default();
    let mut found = Vec::new();
    for row in shown.symmetric_difference(&case.wanted) {
        let mut wanted = case.wanted.clone();
        if !wanted.remove(row) {
            wanted.insert(row.clone());
        }
        found.push(Case {
            before: case.before.clone(),
            wanted,
        });
    }
    for before in fewer_rows(&case.before) {
        let now = get(&bed.program, &before).unwrap_or_default();
        let lost: Vec<_> = shown.difference(&now).collect();
        let wanted = case
            .wanted
            .iter()
            .filter(|row| !lost.contains(row))
            .cloned()
            .collect();
        found.push(Case { before, wanted });
    }
    found
}

fn fewer_rows(database: &Database) -> Vec<Database> {
    let mut found = Vec::new();
    for (relation, rows) in &database.0 {
        for row in rows {
            let mut fewer = database.clone();
            if let Some(rows) = fewer.0.get_mut(relation) {
                rows.remove(row);
            }
            found.push(fewer);
        }
    }
    found
}

/// The same for changes of base tables.
pub(crate) async fn shrunk_changes(
    bed: &Bed<'_>,
    database: Database,
    changes: Vec<BaseChange>,
) -> (Database, Vec<BaseChange>) {
    let mut smallest = (database, changes);
    'smaller: loop {
        let mut candidates: Vec<_> = (0..smallest.1.len())
            .map(|at| {
                let mut fewer = smallest.1.clone();
                fewer.remove(at);
                (smallest.0.clone(), fewer)
            })
            .collect();
        candidates.extend(
            fewer_rows(&smallest.0)
                .into_iter()
                .map(|database| (database, smallest.1.clone())),
        );
        for candidate in candidates {
            if derived(bed, &candidate.0, &candidate.1).await.is_err() {
                smallest = candidate;
                continue 'smaller;
            }
        }
        return smallest;
    }
}
