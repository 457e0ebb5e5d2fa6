//! Facts join as a lattice does, and what is derived from them is a function of the set.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const TABLES: [&str; 4] = ["A", "B", "C", "D"];
const COLUMNS: [&str; 3] = ["id", "x", "y"];

fn attribute() -> impl Strategy<Value = Attribute> {
    (0..TABLES.len(), 0..COLUMNS.len()).prop_map(|(of, column)| Attribute {
        table: table(TABLES[of]),
        column: COLUMNS[column].into(),
    })
}

fn links() -> impl Strategy<Value = Links> {
    let linked = proptest::collection::btree_set(attribute(), 0..3);
    let column = (0..COLUMNS.len()).prop_map(|column| COLUMNS[column].to_owned());
    proptest::collection::btree_map(column, linked, 0..3)
}

/// Whole facts of one peer, Dejima table and incarnation may differ here, as they do when two peers use one name.
fn any_fact() -> impl Strategy<Value = Fact> {
    let key = prop_oneof![Just(None), Just(Some(0u16)), Just(Some(1u16))];
    (
        0..4u8,
        0..TABLES.len(),
        0..3u64,
        key,
        links(),
        any::<bool>(),
        0..2u8,
    )
        .prop_map(|(who, of, incarnation, key, links, has_left, at)| Fact {
            peer: peer(&format!("p{who}")),
            address: format!("http://p{who}-{at}").into(),
            incarnation,
            shape: Arc::new(Shape {
                table: table(TABLES[of]),
                schema: key.map(|key| Schema {
                    key: vec![key],
                    ..schema(&COLUMNS)
                }),
                links,
                has_left,
            }),
        })
}

/// Facts of one peer and one Dejima table.
fn namesakes() -> impl Strategy<Value = Vec<Fact>> {
    proptest::collection::vec(any_fact(), 3).prop_map(|facts| {
        let of = facts[0].shape.table.clone();
        let same = |fact: Fact| Fact {
            peer: peer("p0"),
            shape: Arc::new(Shape {
                table: of.clone(),
                ..(*fact.shape).clone()
            }),
            ..fact
        };
        facts.into_iter().map(same).collect()
    })
}

fn joined(facts: &[Fact]) -> Vec<Fact> {
    let mut known: BTreeMap<(TableName, PeerName), Fact> = BTreeMap::new();
    for fact in facts {
        let place = (fact.table().clone(), fact.peer.clone());
        let joined = known
            .get(&place)
            .map_or_else(|| fact.clone(), |known| known.join(fact));
        known.insert(place, joined);
    }
    known.into_values().collect()
}

proptest! {
    #[test]
    fn joining_commutes(facts in namesakes()) {
        prop_assert_eq!(facts[0].join(&facts[1]), facts[1].join(&facts[0]));
    }

    #[test]
    fn joining_associates(facts in namesakes()) {
        let [a, b, c] = &facts[..] else { unreachable!("there are three") };
        prop_assert_eq!(a.join(b).join(c), a.join(&b.join(c)));
    }

    #[test]
    fn joining_is_idempotent(fact in any_fact()) {
        prop_assert_eq!(fact.join(&fact), fact);
    }

    #[test]
    fn a_join_knows_what_either_knew(facts in namesakes()) {
        let joined = facts[0].join(&facts[1]);
        for fact in &facts[..2] {
            let rank = |fact: &Fact| (!fact.shape.is_partial(), fact.incarnation);
            prop_assert!(rank(&joined) >= rank(fact));
            prop_assert_eq!(joined.join(fact), joined.clone());
        }
    }

    #[test]
    fn the_order_of_facts_does_not_matter(
        (facts, shuffled) in proptest::collection::vec(any_fact(), 0..20)
            .prop_flat_map(|facts| (Just(facts.clone()), Just(facts).prop_shuffle())),
        again in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
    ) {
        let mut repeated = shuffled.clone();
        if !shuffled.is_empty() {
            repeated.extend(again.iter().map(|index| index.get(&shuffled).clone()));
        }
        prop_assert_eq!(joined(&facts), joined(&repeated));
        prop_assert_eq!(peer_groups(&joined(&facts)), peer_groups(&joined(&repeated)));
    }

    #[test]
    fn each_attribute_is_in_exactly_one_group(facts in proptest::collection::vec(any_fact(), 0..20)) {
        let facts = joined(&facts);
        let groups = peer_groups(&facts);
        let live = || facts.iter().filter(|fact| !fact.shape.has_left);
        let attributes: BTreeSet<_> = live().flat_map(|fact| fact.shape.attributes()).collect();
        for attribute in &attributes {
            let of: Vec<_> = groups.iter().filter(|group| group.attributes.contains(attribute)).collect();
            prop_assert_eq!(of.len(), 1, "{:?}", attribute);
            prop_assert!(of[0].tables.contains(&attribute.table));
        }
        let grouped: BTreeSet<_> = groups.iter().flat_map(|group| &group.attributes).cloned().collect();
        prop_assert_eq!(grouped, attributes);
        // No two groups of the same Dejima tables, and in each every peer has one of its attributes.
        let tables: BTreeSet<_> = groups.iter().map(|group| &group.tables).collect();
        prop_assert_eq!(tables.len(), groups.len());
        for group in &groups {
            for peer in &group.peers {
                let mut of_peer = live().filter(|fact| fact.peer == *peer);
                let has = of_peer.any(|fact| fact.shape.attributes().any(|a| group.attributes.contains(&a)));
                prop_assert!(has);
            }
        }
    }
}

/// One fact more in front changes nothing that stands in other components.
#[test]
fn a_link_counts_only_with_both_its_ends() {
    let linked = |name: &str, of: &str, to: &str| {
        let mut fact = fact(name, 1, of);
        let links = [(
            "id".to_owned(),
            [Attribute {
                table: table(to),
                column: "id".into(),
            }]
            .into(),
        )];
        fact.shape = Arc::new(Shape {
            links: links.into(),
            ..(*fact.shape).clone()
        });
        fact
    };
    let one = [linked("bank", "A", "B"), fact("gov", 1, "B")];
    let groups = peer_groups(&one);
    assert!(
        groups.iter().all(|group| group.tables.len() == 1),
        "who does not share B cannot tie it to A: {groups:?}"
    );
    let both = [
        linked("bank", "A", "B"),
        linked("bank", "B", "A"),
        fact("gov", 1, "B"),
    ];
    let groups = peer_groups(&both);
    let tied = groups
        .iter()
        .find(|group| group.tables.len() == 2)
        .expect("id hangs together");
    assert_eq!(tied.attribute_names(), ["id"].into());
    assert_eq!(tied.peers, [peer("bank"), peer("gov")].into());
}
