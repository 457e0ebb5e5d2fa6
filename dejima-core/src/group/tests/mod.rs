//! Transitions of one machine, whole boots of several over a network without losses, and laws.

mod boots;
mod laws;
mod transitions;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::*;
use crate::delta::{Column, Schema};
use crate::name::{PeerName, TableName};
use crate::transaction::Millis;

const LIMITS: Limits = Limits {
    retry_ms_min: 100,
    retry_ms_max: 1_000,
    introduction_ms: 30,
    downwards_ms: 100,
    upwards_ms: 250,
    hint_ms: 60,
    facts_max: 10_000,
};

fn peer(name: &str) -> PeerName {
    PeerName::new(name).expect("a name")
}

fn table(name: &str) -> TableName {
    TableName::new(name).expect("a name")
}

fn schema(columns: &[&str]) -> Schema {
    let column = |name: &&str| Column {
        name: (*name).into(),
        type_name: "text".into(),
    };
    Schema {
        columns: columns.iter().map(column).collect(),
        key: vec![0],
    }
}

fn share(name: &str, seeds: &[&str]) -> Share {
    let seeds = seeds.iter().map(|seed| (*seed).to_owned()).collect();
    Share::new(table(name), schema(&["id", name]), Links::new(), seeds)
}

fn identity(name: &str, address: &str, incarnation: u64) -> Identity {
    Identity {
        peer: peer(name),
        address: address.into(),
        incarnation,
    }
}

fn fact(name: &str, incarnation: u64, of: &str) -> Fact {
    Fact {
        peer: peer(name),
        address: format!("http://{name}").into(),
        incarnation,
        shape: Arc::new(Shape {
            table: table(of),
            schema: Some(schema(&["id", of])),
            links: Links::new(),
            has_left: false,
        }),
    }
}

/// The words of a peer that keeps no log.
fn said(facts: impl IntoIterator<Item = Fact>) -> Said {
    Said {
        facts: facts.into_iter().map(Arc::new).collect(),
        ..Said::default()
    }
}

fn start(name: &str, shares: Vec<Share>) -> Machine {
    Machine::new(
        identity(name, &format!("http://{name}"), 1),
        shares,
        Vec::new(),
        LIMITS,
    )
}

fn outputs(machine: &mut Machine) -> Vec<Output> {
    std::iter::from_fn(|| machine.poll_output()).collect()
}

fn handled(machine: &mut Machine, now: Millis, input: Input) -> Vec<Output> {
    machine.handle(now, input);
    outputs(machine)
}

fn members(machine: &Machine, of: &str) -> Result<Vec<String>, Vec<String>> {
    let groups = machine.groups();
    let group = groups
        .iter()
        .find(|group| group.table == table(of))
        .expect("it is shared");
    if !group.is_complete() {
        return Err(group.missing.clone());
    }
    Ok(group.members.iter().map(ToString::to_string).collect())
}

fn names(names: &[&str]) -> Result<Vec<String>, Vec<String>> {
    Ok(names.iter().map(|&name| name.to_owned()).collect())
}

/// Machines, who of them is up, and what they said.
#[derive(Default)]
struct Network {
    now: Millis,
    up: BTreeMap<String, Machine>,
    saved: BTreeMap<String, BTreeMap<(TableName, PeerName), Arc<Fact>>>,
    complaints: Vec<String>,
    overtaken: Vec<Overtaken>,
    /// The caller of each call.
    calls: Vec<String>,
    under_way: VecDeque<(String, Input)>,
}

impl Network {
    fn boot(&mut self, name: &str, address: &str, incarnation: u64, shares: Vec<Share>) {
        let known = self
            .saved
            .get(name)
            .into_iter()
            .flat_map(|facts| facts.values().map(|fact| (**fact).clone()));
        let machine = Machine::new(
            identity(name, address, incarnation),
            shares,
            known.collect(),
            LIMITS,
        );
        self.up
            .retain(|_, other| other.peers()[0].identity.peer != peer(name));
        self.up.insert(address.into(), machine);
    }

    fn stop(&mut self, address: &str) -> Machine {
        self.up.remove(address).expect("it was up")
    }

    fn at(&self, address: &str) -> &Machine {
        &self.up[address]
    }

    /// Lets `ms` milliseconds pass, each message taking none.
    fn pass(&mut self, ms: Millis) {
        for _ in 0..=ms {
            for address in self.up.keys().cloned().collect::<Vec<_>>() {
                self.tick(&address);
            }
            self.now += 1;
        }
    }

    fn tick(&mut self, address: &str) {
        if self
            .at(address)
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.under_way.push_back((address.into(), Input::Tick));
        }
        self.carry_out(address);
        while let Some((to, input)) = self.under_way.pop_front() {
            let now = self.now;
            if let Some(machine) = self.up.get_mut(&to) {
                machine.handle(now, input);
                self.carry_out(&to);
            }
        }
    }

    fn carry_out(&mut self, address: &str) {
        while let Some(output) = self.up.get_mut(address).and_then(Machine::poll_output) {
            let name = self.at(address).peers()[0].identity.peer.clone();
            match output {
                Output::Ask { address: to, said } => self.ask(address, name, to, said),
                Output::Answer { call, said } => {
                    let caller = self.calls[usize::try_from(call).expect("an index")].clone();
                    self.under_way.push_back((
                        caller,
                        Input::Answered {
                            address: address.into(),
                            from: name,
                            said,
                        },
                    ));
                }
                Output::Save(facts) => {
                    let saved = self.saved.entry(name.to_string()).or_default();
                    let placed = facts
                        .into_iter()
                        .map(|fact| ((fact.table().clone(), fact.peer.clone()), fact));
                    saved.extend(placed);
                }
                Output::CountBeyond(overtaken) => self.overtaken.push(overtaken),
                Output::Complain(said) => self.complaints.push(format!("{name}: {said}")),
                Output::Members(_) => {}
            }
        }
    }

    fn ask(&mut self, caller: &str, from: PeerName, to: String, said: Said) {
        let call = u64::try_from(self.calls.len()).expect("few calls");
        self.calls.push(caller.into());
        let refused = Input::Unanswered {
            address: to.clone(),
            why: "connection refused".into(),
        };
        self.under_way.push_back(match self.up.contains_key(&to) {
            true => (to, Input::Asked { call, from, said }),
            false => (caller.into(), refused),
        });
    }
}
