//! What a client was told about his persons, and whether the copies say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::found::Copied;

/// The last name of the persons that all clients change.
pub(super) const COMMON: &str = "Common";
/// How many these are.
pub(super) const COMMON_PERSONS: usize = 4;

/// A person's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Name {
    pub(super) first: String,
    pub(super) last: String,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.first, self.last)
    }
}

/// A person that everybody changes.
pub(super) fn common_person(number: usize) -> Name {
    Name {
        first: format!("C{number}"),
        last: COMMON.to_owned(),
    }
}

/// A row of a copy: what is NULL there is `None`.
pub(super) type Row = BTreeMap<String, Option<String>>;

/// A person: his values that are set, over all Dejima tables. `None`: there is no such person.
pub(super) type State = Option<BTreeMap<String, String>>;

/// Some persons before a transaction and after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Change {
    pub(super) persons: BTreeMap<u64, (State, State)>,
    pub(super) common: Option<usize>,
}

/// The persons of one client.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    last_name: String,
    /// Those of whom one state is possible.
    persons: BTreeMap<u64, State>,
    /// Those whom the client changes: as many as he began with.
    in_use: Vec<u64>,
    person_last: u64,
    /// Changes whose COMMIT broke off: all of each one happened, or nothing of it. The client leaves these persons
    /// alone until a check, because the COMMIT may still be under way, and takes new ones in their place.
    unknown: Vec<Change>,
    /// How often this client is known to have changed each common person since the last check.
    pub(super) common: [u64; COMMON_PERSONS],
}

/// A person whose copy is in no state that is possible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub(super) person: Name,
    pub(super) peer: String,
    pub(super) table: String,
    pub(super) found: String,
    pub(super) possible: Vec<String>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            person,
            peer,
            table,
            found,
            possible,
        } = self;
        let possible = possible.join(" or ");
        write!(
            f,
            "{person} in {table} at {peer}: found {found}, possible {possible}"
        )
    }
}

impl Ledger {
    /// So many persons with one last name; none of them exists yet.
    pub(super) fn new(last_name: String, persons: usize) -> Self {
        let mut ledger = Self {
            last_name,
            persons: BTreeMap::new(),
            in_use: vec![0; persons],
            person_last: 0,
            unknown: Vec::new(),
            common: [0; COMMON_PERSONS],
        };
        (0..persons).for_each(|place| ledger.replace(place));
        ledger
    }

    fn replace(&mut self, place: usize) {
        self.person_last += 1;
        self.in_use[place] = self.person_last;
        self.persons.insert(self.person_last, None);
    }

    /// The persons whom the client may change, with their states.
    pub(super) fn in_use(&self) -> Vec<(u64, State)> {
        let known = |person: &u64| (*person, self.persons[person].clone());
        self.in_use.iter().map(known).collect()
    }

    /// A person's key.
    pub(super) fn name(&self, person: u64) -> Name {
        name(&self.last_name, person)
    }

    /// The client was told that it happened.
    pub(super) fn succeeded(&mut self, change: Change) {
        for (person, (_, after)) in change.persons {
            self.persons.insert(person, after);
        }
        if let Some(common) = change.common {
            self.common[common] += 1;
        }
    }

    /// The client was not told whether it happened.
    pub(super) fn broke_off(&mut self, change: Change) {
        for place in 0..self.in_use.len() {
            if change.persons.contains_key(&self.in_use[place]) {
                self.persons.remove(&self.in_use[place]);
                self.replace(place);
            }
        }
        self.unknown.push(change);
    }

    /// Compares with the copies; what was unknown, or wrong, is then taken as found.
    pub(super) fn check(&mut self, copies: &[Copied]) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        let last_name = &self.last_name;
        for (person, state) in &mut self.persons {
            let name = name(last_name, *person);
            let found = differing(copies, &name, &[state]);
            if !found.is_empty() {
                *state = united(copies, &name);
            }
            wrong.extend(found);
        }
        for change in std::mem::take(&mut self.unknown) {
            wrong.extend(self.settle(change, copies));
        }
        wrong
    }

    /// All of a change, or nothing of it, at every copy.
    fn settle(&mut self, change: Change, copies: &[Copied]) -> Vec<Wrong> {
        let is_found = |after: bool| {
            change.persons.iter().all(|(person, states)| {
                let state = if after { &states.1 } else { &states.0 };
                differing(copies, &self.name(*person), &[state]).is_empty()
            })
        };
        if is_found(true) {
            self.succeeded(change);
            return Vec::new();
        }
        let mut wrong = Vec::new();
        if !is_found(false) {
            for (person, (before, after)) in &change.persons {
                wrong.extend(differing(copies, &self.name(*person), &[before, after]));
            }
            if wrong.is_empty() {
                wrong.push(self.torn(&change));
            }
        }
        for person in change.persons.into_keys() {
            let found = united(copies, &self.name(person));
            self.persons.insert(person, found);
        }
        wrong
    }

    /// Every person is in a possible state, but not all in the same one: half of a transaction.
    fn torn(&self, change: &Change) -> Wrong {
        let persons = change.persons.keys().map(|person| self.name(*person));
        let names: Vec<String> = persons.map(|name| name.to_string()).collect();
        Wrong {
            person: self.name(change.persons.keys().next().copied().unwrap_or_default()),
            peer: "every peer".into(),
            table: "every Dejima table".into(),
            found: format!("half of one transaction on {}", names.join(", ")),
            possible: vec!["all of it".into(), "nothing of it".into()],
        }
    }
}

fn name(last_name: &str, person: u64) -> Name {
    Name {
        first: format!("P{person}"),
        last: last_name.to_owned(),
    }
}

/// The copies in which a person is in none of the possible states; or that show him in different ones.
fn differing(copies: &[Copied], name: &Name, possible: &[&State]) -> Vec<Wrong> {
    let fits = |state: &State| copies.iter().all(|copy| agrees(copy, name, state));
    if possible.iter().any(|state| fits(state)) {
        return Vec::new();
    }
    let wrong = |copy: &Copied| Wrong {
        person: name.clone(),
        peer: copy.peer.clone(),
        table: copy.table.clone(),
        found: text(copy.rows.get(name)),
        possible: possible
            .iter()
            .map(|state| text(shown(copy, state).as_ref()))
            .collect(),
    };
    let is_wrong = |copy: &&Copied| possible.len() > 1 || !agrees(copy, name, possible[0]);
    copies.iter().filter(is_wrong).map(wrong).collect()
}

fn agrees(copy: &Copied, name: &Name, state: &State) -> bool {
    copy.rows.get(name) == shown(copy, state).as_ref()
}

/// A person as a Dejima table shows him.
fn shown(copy: &Copied, state: &State) -> Option<Row> {
    let values = state.as_ref()?;
    let shown = |column: &String| (column.clone(), values.get(column).cloned());
    Some(copy.columns.iter().map(shown).collect())
}

/// What all copies together say of a person.
fn united(copies: &[Copied], name: &Name) -> State {
    let rows: Vec<&Row> = copies
        .iter()
        .filter_map(|copy| copy.rows.get(name))
        .collect();
    let set = |(column, value): (&String, &Option<String>)| Some((column.clone(), value.clone()?));
    let values = rows
        .iter()
        .flat_map(|row| row.iter().filter_map(set))
        .collect();
    (!rows.is_empty()).then_some(values)
}

fn text(row: Option<&Row>) -> String {
    let Some(row) = row else {
        return "no row".into();
    };
    let value = |(column, value): (&String, &Option<String>)| {
        format!("{column}={}", value.as_deref().unwrap_or("NULL"))
    };
    let values: BTreeSet<String> = row.iter().map(value).collect();
    format!("({})", values.into_iter().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(address: &str, phone: &str) -> State {
        let pair = |column: &str, value: &str| (column.to_owned(), value.to_owned());
        Some(BTreeMap::from([
            pair("address", address),
            pair("phone", phone),
        ]))
    }

    /// A copy with address and phone, and one with the address alone.
    fn copies(states: &[State]) -> Vec<Copied> {
        let copy = |peer: &str, columns: &[&str]| {
            let mut copy = Copied {
                peer: peer.to_owned(),
                table: "T".into(),
                columns: columns.iter().map(|column| (*column).to_owned()).collect(),
                rows: BTreeMap::new(),
            };
            for (person, state) in (1..).zip(states) {
                let row = shown(&copy, state);
                copy.rows.extend(row.map(|row| (name("One", person), row)));
            }
            copy
        };
        vec![
            copy("bank", &["address", "phone"]),
            copy("gov", &["address"]),
        ]
    }

    fn change(persons: &[(u64, State, State)]) -> Change {
        let pair = |(person, before, after): &(u64, State, State)| {
            (*person, (before.clone(), after.clone()))
        };
        Change {
            persons: persons.iter().map(pair).collect(),
            common: Some(0),
        }
    }

    #[test]
    fn after_a_success_one_state_is_possible_at_every_copy() {
        let mut ledger = Ledger::new("One".into(), 1);
        ledger.succeeded(change(&[(1, None, state("a", "1"))]));
        assert_eq!(ledger.check(&copies(&[state("a", "1")])), []);
        let mut found = copies(&[state("a", "1")]);
        found[1].rows.clear();
        let wrong = ledger.check(&found);
        let said: Vec<String> = wrong.iter().map(Wrong::to_string).collect();
        assert_eq!(
            said,
            ["P1 One in T at gov: found no row, possible (address=a)"]
        );
    }

    #[test]
    fn what_broke_off_may_have_happened_or_not_but_not_by_halves() {
        let broken = change(&[(1, None, state("a", "1")), (2, None, state("b", "2"))]);
        for (found, common) in [([None, None], 0), ([state("a", "1"), state("b", "2")], 1)] {
            let mut ledger = Ledger::new("One".into(), 2);
            ledger.broke_off(broken.clone());
            assert_eq!(
                ledger.in_use(),
                [(3, None), (4, None)],
                "others in their place"
            );
            assert_eq!(ledger.check(&copies(&found)), []);
            assert_eq!(ledger.persons[&1], found[0]);
            assert_eq!(ledger.common[0], common);
        }
        let mut ledger = Ledger::new("One".into(), 2);
        ledger.broke_off(broken);
        let wrong = ledger.check(&copies(&[state("a", "1"), None]));
        assert_eq!(wrong.len(), 1, "{wrong:?}");
        assert!(
            wrong[0].found.contains("half of one transaction"),
            "{wrong:?}"
        );
        assert_eq!(
            ledger.check(&copies(&[state("a", "1"), None])),
            [],
            "taken as found"
        );
    }

    #[test]
    fn copies_that_took_different_sides_are_wrong() {
        let mut ledger = Ledger::new("One".into(), 1);
        ledger.broke_off(change(&[(1, state("a", "1"), state("b", "1"))]));
        let mut found = copies(&[state("a", "1")]);
        found[1] = copies(&[state("b", "1")]).remove(1);
        let wrong = ledger.check(&found);
        let peers: Vec<&str> = wrong.iter().map(|wrong| wrong.peer.as_str()).collect();
        assert_eq!(peers, ["bank", "gov"]);
    }
}
