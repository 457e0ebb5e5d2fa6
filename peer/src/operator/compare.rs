//! The copies of each Dejima table beside those of all other members.

use std::time::Duration;

use dejima_core::examine::{self, Comparison, Copy, Finding};
use dejima_core::group::{MemberState, Reach};
use dejima_core::name::{PeerName, TableName};
use futures::future::join_all;
use tonic::Status;

use super::OperatorService;
use crate::client::digest;

/// Copies that clients are changing are looked at so often, with this pause in between: a decision reaches everybody
/// within it, or the transaction shows.
const LOOKS_MAX: usize = 8;
const LOOK_PAUSE: Duration = Duration::from_millis(500);

/// Another member and what is known of it; without an address nothing is.
struct Other {
    name: PeerName,
    address: Option<String>,
}

impl OperatorService {
    /// Compares with everybody; a finding for each Dejima table and member.
    pub(super) async fn compared(&self) -> Result<Vec<Finding>, Status> {
        let (groups, peers) = self
            .look(|_, groups, _| (groups.groups(), groups.peers()))
            .await?;
        let mut findings = vec![];
        let own = peers.iter().find(|peer| peer.reach == Reach::Own);
        let Some(me) = own.map(|own| &own.identity.peer) else {
            return Ok(findings);
        };
        for group in groups {
            let others = group.members.iter().filter(|member| *member != me);
            let others = others.map(|member| Other {
                name: member.clone(),
                address: address(&peers, member),
            });
            findings.extend(self.compare(me, &group.table, others.collect()).await);
        }
        Ok(findings)
    }

    async fn compare(&self, me: &PeerName, table: &TableName, others: Vec<Other>) -> Vec<Finding> {
        let mut looks = self.look_at_all(me, table, &others).await;
        let mut comparisons = vec![];
        for _ in 1..LOOKS_MAX {
            tokio::time::sleep(LOOK_PAUSE).await;
            let next = self.look_at_all(me, table, &others).await;
            comparisons = compare_looks(&looks, &next);
            if !comparisons.contains(&Ok(Comparison::Moving)) {
                break;
            }
            looks = next;
        }
        let found = others.iter().zip(&comparisons);
        found
            .map(|(other, comparison)| examine::copies(table, &other.name, comparison))
            .collect()
    }

    /// The own copy first, then those of the others.
    async fn look_at_all(
        &self,
        me: &PeerName,
        table: &TableName,
        others: &[Other],
    ) -> Vec<Result<Copy, String>> {
        let own = async {
            let copy = self.copies.read(table).await;
            copy.unwrap_or_else(|| Err("it is not shared any more".to_owned()))
        };
        let others = others.iter().map(|other| async {
            let address = other.address.clone();
            let address = address.ok_or_else(|| "its address is not known".to_owned())?;
            let copy = digest(me, &other.name, address, table).await;
            copy.map_err(|silence| silence.why)
        });
        let (own, others) = tokio::join!(own, join_all(others));
        std::iter::once(own).chain(others).collect()
    }
}

fn address(peers: &[MemberState], member: &PeerName) -> Option<String> {
    let mut peers = peers.iter();
    let peer = peers.find(|peer| peer.identity.peer == *member)?;
    Some(peer.identity.address.clone())
}

/// Two looks, one after the other, each with the own copy first.
fn compare_looks(
    first: &[Result<Copy, String>],
    second: &[Result<Copy, String>],
) -> Vec<Result<Comparison, String>> {
    let both = |at: usize| -> Result<[Copy; 2], String> {
        let look = |copies: &[Result<Copy, String>]| {
            let none = || Err("it was not read".to_owned());
            copies.get(at).cloned().unwrap_or_else(none)
        };
        Ok([look(first)?, look(second)?])
    };
    let own = both(0);
    let compare = |at| {
        Ok(examine::compare(
            own.as_ref().map_err(String::clone)?,
            &both(at)?,
        ))
    };
    (1..first.len()).map(compare).collect()
}
