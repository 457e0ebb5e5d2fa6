//! Whom a transaction may reach, as the groups are now.

use std::collections::BTreeSet;

use dejima_core::database::BaseTableChange;
use dejima_core::group::{Attribute, GroupState};
use dejima_proto::v1;
use tonic::Status;

use super::OperatorService;
use super::words::reached_to_wire;

impl OperatorService {
    pub(super) async fn scope_of(
        &self,
        changes: Vec<v1::BaseTableChange>,
    ) -> Result<v1::ScopeResponse, Status> {
        let changes = changes.into_iter().map(|change| BaseTableChange {
            base_table: change.base_table,
            columns: change.columns.into_iter().collect(),
        });
        let touched: BTreeSet<Attribute> = changes
            .flat_map(|change| change.touched(&self.known.tables))
            .collect();
        let asked = touched.clone();
        let (groups, scope) = self
            .look(move |_, groups, _| (groups.groups(), groups.scope(&asked)))
            .await?;
        let tables = groups
            .into_iter()
            .filter_map(|group| table_to_wire(group, &touched));
        Ok(v1::ScopeResponse {
            tables: tables.collect(),
            peers: scope.peers.into_iter().map(reached_to_wire).collect(),
        })
    }
}

/// The part of a Dejima table that is touched, its columns in their order; `None` if nothing of it is.
fn table_to_wire(group: GroupState, touched: &BTreeSet<Attribute>) -> Option<v1::ScopeTable> {
    let complete = group.is_complete();
    let is_touched = |column: &String| {
        let mut touched = touched.iter();
        touched.any(|attribute| attribute.table == group.table && attribute.column == *column)
    };
    let columns: Vec<_> = group
        .columns
        .iter()
        .filter(|c| is_touched(c))
        .cloned()
        .collect();
    (!columns.is_empty()).then(|| v1::ScopeTable {
        columns,
        complete,
        table: group.table.into(),
        missing: group.missing,
    })
}
