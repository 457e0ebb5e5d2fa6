//! What the peer counts and holds, for Prometheus: read inside the event loop, once for each scrape.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use dejima_core::group::Counters;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::event::{self, Events};

/// The form of OpenMetrics 1.0, which Prometheus asks for first.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is seen of a peer at one moment.
struct Sight {
    uptime: Duration,
    detection: Counters,
    groups: usize,
    groups_incomplete: usize,
    peer_groups: usize,
    peers: BTreeMap<&'static str, i64>,
    /// By the names of their states.
    transactions: BTreeMap<&'static str, i64>,
    oldest_in_doubt: Duration,
}

/// Serves `GET /metrics` until the end.
pub async fn serve(
    listener: TcpListener,
    events: Events,
    end: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let metrics = axum::routing::get(scrape);
    let router = axum::Router::new().route("/metrics", metrics);
    let server = axum::serve(listener, router.with_state(events));
    server.with_graceful_shutdown(end).await
}

async fn scrape(State(events): State<Events>) -> impl IntoResponse {
    let Some(sight) = look(&events).await else {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "the peer is stopping"));
    };
    let mut said = String::new();
    text::encode(&mut said, &sight.registry()).map_err(|_| {
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            "the metrics cannot be written",
        )
    })?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], said))
}

async fn look(events: &Events) -> Option<Sight> {
    event::look(events, |now, groups, transactions| {
        let states = groups.groups();
        let mut peers = BTreeMap::new();
        for peer in groups.peers() {
            *peers.entry(peer.reach.word()).or_default() += 1;
        }
        let mut in_flight = BTreeMap::new();
        let mut oldest_in_doubt = 0;
        for summary in transactions.summaries() {
            *in_flight.entry(summary.state).or_default() += 1;
            if summary.state == "in doubt" {
                oldest_in_doubt = oldest_in_doubt.max(now.saturating_sub(summary.since));
            }
        }
        Sight {
            uptime: Duration::from_millis(now),
            detection: groups.counters(),
            groups: states.len(),
            groups_incomplete: states.iter().filter(|state| !state.is_complete()).count(),
            peer_groups: groups.peer_groups().len(),
            peers,
            transactions: in_flight,
            oldest_in_doubt: Duration::from_millis(oldest_in_doubt),
        }
    })
    .await
}

impl Sight {
    fn registry(&self) -> Registry {
        let mut registry = Registry::with_prefix("dejima");
        let seconds = |time: Duration| ConstGauge::new(time.as_secs_f64());
        let number = |number: usize| ConstGauge::new(i64::try_from(number).unwrap_or(i64::MAX));
        registry.register(
            "uptime_seconds",
            "Since this peer was ready to detect its groups",
            seconds(self.uptime),
        );
        registry.register("groups", "Dejima tables of this peer", number(self.groups));
        registry.register(
            "groups_incomplete",
            "Dejima tables whose changes are refused because a member is not known yet",
            number(self.groups_incomplete),
        );
        registry.register(
            "peer_groups",
            "Peer groups of this peer",
            number(self.peer_groups),
        );
        registry.register(
            "peers",
            "Peers that share something with this one, by whether they can be reached",
            family("state", &self.peers),
        );
        registry.register(
            "transactions",
            "Transactions in flight, by state",
            family("state", &self.transactions),
        );
        registry.register(
            "in_doubt_oldest_seconds",
            "Age of the oldest transaction in doubt; 0 if there is none",
            seconds(self.oldest_in_doubt),
        );
        self.register_detection(registry.sub_registry_with_prefix("detection"));
        registry
    }

    fn register_detection(&self, registry: &mut Registry) {
        let counters = &self.detection;
        for (name, help, count) in [
            (
                "messages_sent",
                "Exchanges that this peer began",
                counters.messages_sent,
            ),
            (
                "messages_received",
                "Exchanges that others began",
                counters.messages_received,
            ),
            (
                "messages_unanswered",
                "Exchanges that this peer began and nobody answered",
                counters.messages_unanswered,
            ),
            (
                "updates",
                "Messages and answers that brought news",
                counters.updates,
            ),
            (
                "conflicts",
                "News that contradict what this peer declares or knows",
                counters.conflicts,
            ),
            (
                "broadcasts",
                "News of others that were passed on",
                counters.broadcasts,
            ),
        ] {
            registry.register(name, help, ConstCounter::new(count));
        }
        for (name, help, at) in [
            (
                "complete_after_seconds",
                "From the start of detection until all groups were complete",
                counters.complete_since,
            ),
            (
                "last_update_after_seconds",
                "From the start of detection to the last news",
                counters.last_update,
            ),
        ] {
            // What has not happened yet has no sample.
            if let Some(at) = at {
                let after = Duration::from_millis(at).as_secs_f64();
                registry.register(name, help, ConstGauge::new(after));
            }
        }
    }
}

/// One gauge for each value of a label.
fn family(
    label: &'static str,
    values: &BTreeMap<&'static str, i64>,
) -> Family<[(&'static str, &'static str); 1], Gauge> {
    let family = Family::<[(&'static str, &'static str); 1], Gauge>::default();
    for (value, number) in values {
        family.get_or_create(&[(label, value)]).set(*number);
    }
    family
}
