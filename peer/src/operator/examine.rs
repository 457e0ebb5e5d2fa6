//! The examination: the machines, the database, and all other peers, at the same time.

use dejima_core::database::Examinee;
use dejima_core::examine::{self, Finding};
use dejima_core::group::Reach;
use dejima_core::name::Gid;
use futures::future::join_all;
use tonic::Status;

use super::OperatorService;
use crate::client::health;

impl OperatorService {
    /// Everything that was examined.
    pub(super) async fn findings(&self) -> Result<Vec<Finding>, Status> {
        // Before the machine is looked at: what stands there now and is in flight is in the machine by then.
        let traces = self.store.traces().await.unwrap_or_default();
        let (mut findings, peers, held, is_recovered) = self
            .look(|now, groups, transactions| {
                let mut findings = examine::transactions(now, transactions);
                findings.extend(examine::groups(&groups.groups()));
                let held: Vec<_> = transactions
                    .summaries()
                    .into_iter()
                    .map(|s| s.gid)
                    .collect();
                (findings, groups.peers(), held, transactions.is_recovered())
            })
            .await?;
        let is_unclaimed = |gid: &Gid| is_recovered && !held.contains(gid);
        let examinee = Examinee {
            tables: self.known.tables.clone(),
            incarnation: peers.first().map_or(0, |own| own.identity.incarnation),
            unclaimed: traces
                .into_iter()
                .filter(|trace| is_unclaimed(&trace.gid))
                .collect(),
        };
        let others = peers.iter().filter(|peer| peer.reach != Reach::Own);
        let asked = others.map(|peer| async {
            let health = health(peer.identity.address.clone()).await;
            examine::health(peer, &health)
        });
        let (database, others) = tokio::join!(self.store.examine(examinee), join_all(asked));
        findings.extend(others);
        findings.extend(database);
        Ok(findings)
    }
}
