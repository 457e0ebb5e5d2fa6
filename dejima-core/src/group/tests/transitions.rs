//! One input, and all that comes of it.

use super::*;

/// What is asked for in these outputs: where, and about which peers and Dejima tables.
fn asked(outputs: &[Output]) -> Vec<(&str, Vec<(&str, &str)>)> {
    let asks = outputs.iter().filter_map(|output| match output {
        Output::Ask { address, said } => Some((address.as_str(), names_of(&said.facts))),
        _ => None,
    });
    asks.collect()
}

fn names_of(facts: &[Arc<Fact>]) -> Vec<(&str, &str)> {
    let names = facts
        .iter()
        .map(|fact| (fact.peer.as_str(), fact.table().as_str()));
    names.collect()
}

/// What a call is answered with.
fn answer_to(machine: &mut Machine, now: Millis, from: &str, facts: Vec<Fact>) -> Vec<Arc<Fact>> {
    let asked = Input::Asked {
        call: 1,
        from: peer(from),
        said: said(facts),
    };
    let outputs = handled(machine, now, asked);
    let answer = outputs.into_iter().find_map(|output| match output {
        Output::Answer { said, .. } => Some(said.facts),
        _ => None,
    });
    answer.expect("every call is answered")
}

fn complaints(outputs: &[Output]) -> Vec<&str> {
    let complaints = outputs.iter().filter_map(|output| match output {
        Output::Complain(said) => Some(said.as_str()),
        _ => None,
    });
    complaints.collect()
}

#[test]
fn the_first_outputs_are_what_is_kept_then_the_members_then_the_calls() {
    let mut machine = start("gov", vec![share("A", &["http://bank"])]);
    assert!(
        matches!(&outputs(&mut machine)[..], [Output::Save(own), Output::Members(tables)]
            if names_of(own) == [("gov", "A")] && tables[&table("A")].members.is_err())
    );
    assert_eq!(machine.poll_timeout(), Some(0));
    let outputs = handled(&mut machine, 5, Input::Tick);
    assert_eq!(asked(&outputs), [("http://bank", vec![("gov", "A")])]);
    assert_eq!(machine.poll_timeout(), None, "one call at a time");
}

#[test]
fn an_answer_completes_the_group() {
    let mut machine = start("gov", vec![share("A", &["http://bank"])]);
    handled(&mut machine, 0, Input::Tick);
    let answered = Input::Answered {
        address: "http://bank".into(),
        from: peer("bank"),
        said: said([fact("bank", 3, "A")]),
    };
    let done = handled(&mut machine, 1, answered);
    assert!(
        matches!(&done[..], [Output::Save(saved), Output::Members(tables)]
            if *saved[0] == fact("bank", 3, "A") && tables[&table("A")].members == Ok(vec![peer("bank")])),
        "{done:?}"
    );
    assert!(machine.is_settled(), "the call told the bank all there was");
}

#[test]
fn members_are_told_when_they_change_and_only_then() {
    let mut machine = start("gov", vec![share("A", &[])]);
    outputs(&mut machine);
    let mut told = |now, said_now: Fact| {
        let asked = Input::Asked {
            call: 1,
            from: said_now.peer.clone(),
            said: said([said_now]),
        };
        let outputs = handled(&mut machine, now, asked);
        let told = outputs.into_iter().find_map(|output| match output {
            Output::Members(mut tables) => tables.remove(&table("A")),
            _ => None,
        });
        told.map(|membership| membership.members.map_err(|missing| missing.len()))
    };
    let changed = |incarnation, change: fn(&mut Shape)| {
        let mut fact = fact("ins", incarnation, "A");
        change(Arc::make_mut(&mut fact.shape));
        fact
    };
    let both = Ok(vec![peer("bank"), peer("ins")]);
    assert_eq!(told(1, fact("bank", 1, "A")), Some(Ok(vec![peer("bank")])));
    assert_eq!(told(2, fact("ins", 1, "A")), Some(both.clone()));
    assert_eq!(told(3, fact("ins", 2, "A")), None, "it only started again");
    let differing = changed(3, |shape| shape.schema = Some(schema(&["id"])));
    assert_eq!(told(4, differing), Some(Err(1)));
    assert_eq!(told(5, fact("ins", 4, "A")), Some(both.clone()));
    let left = changed(5, |shape| shape.has_left = true);
    assert_eq!(told(6, left), Some(Ok(vec![peer("bank")])));
    assert_eq!(told(7, fact("ins", 6, "A")), Some(both));
}

#[test]
fn a_peer_that_was_killed_before_it_had_saved_is_told_again_what_it_had_said() {
    let mut machine = start("gov", vec![share("A", &["http://bank"])]);
    handled(&mut machine, 0, Input::Tick);
    let says = |life: u64, facts: Vec<Fact>| {
        let mut said = said(facts);
        said.covers.life = life << 16;
        said.covers.upto = 2;
        said
    };
    let answered = Input::Answered {
        address: "http://bank".into(),
        from: peer("bank"),
        said: says(1, vec![fact("bank", 1, "A"), fact("ins", 1, "A")]),
    };
    handled(&mut machine, 1, answered);
    let asked = Input::Asked {
        call: 1,
        from: peer("bank"),
        said: says(2, vec![fact("bank", 2, "A")]),
    };
    let outputs = handled(&mut machine, 2, asked);
    let told = outputs.iter().find_map(|output| match output {
        Output::Answer { said, .. } => Some(names_of(&said.facts)),
        _ => None,
    });
    assert_eq!(told, Some(vec![("gov", "A"), ("ins", "A")]));
}

#[test]
fn need_to_know_a_caller_learns_only_what_it_shares() {
    let mut machine = start("gov", vec![share("A", &[]), share("B", &[])]);
    answer_to(&mut machine, 0, "ins", vec![fact("ins", 1, "B")]);
    let told = answer_to(&mut machine, 1, "bank", vec![fact("bank", 1, "A")]);
    assert_eq!(names_of(&told), [("gov", "A")]);
    let told = answer_to(&mut machine, 2, "eve", vec![fact("eve", 1, "C")]);
    assert_eq!(names_of(&told), []);
}

#[test]
fn need_to_know_columns_that_hang_together_are_told_without_types_and_key() {
    let tied = |of: &str, to: &str| {
        let attribute = |table_name: &str| Attribute {
            table: table(table_name),
            column: "id".into(),
        };
        let links = [("id".to_owned(), [attribute(to)].into())].into();
        Share::new(table(of), schema(&["id", of]), links, Vec::new())
    };
    let mut machine = start("gov", vec![tied("A", "B"), tied("B", "A")]);
    answer_to(&mut machine, 0, "ins", vec![fact("ins", 1, "B")]);
    let told = answer_to(&mut machine, 1, "bank", vec![fact("bank", 1, "A")]);
    let of = |name: &str, of: &str| {
        let found = told
            .iter()
            .find(|fact| fact.peer == peer(name) && *fact.table() == table(of));
        found.map(|fact| {
            (
                fact.shape.is_partial(),
                fact.shape.links.keys().cloned().collect(),
            )
        })
    };
    assert_eq!(of("gov", "A"), Some((false, vec!["id".to_owned()])));
    assert_eq!(
        of("gov", "B"),
        Some((true, vec!["id".to_owned()])),
        "column B stays secret"
    );
    assert_eq!(of("ins", "B"), Some((true, vec!["id".to_owned()])));
}

#[test]
fn need_to_know_nobody_speaks_of_what_he_does_not_share() {
    let mut machine = start("gov", vec![share("A", &[]), share("B", &[])]);
    outputs(&mut machine);
    let asked = |facts| Input::Asked {
        call: 1,
        from: peer("eve"),
        said: said(facts),
    };
    let lies = vec![
        fact("bank", 1, "B"),
        fact("eve", 1, "A"),
        fact("eve", 1, "Z"),
    ];
    let outputs = handled(&mut machine, 0, asked(lies));
    let said = complaints(&outputs);
    assert!(
        said.iter()
            .any(|said| said.contains("\"B\", which it does not share")),
        "{said:?}"
    );
    assert!(
        said.iter()
            .any(|said| said.contains("\"Z\", which this peer does not share")),
        "{said:?}"
    );
    assert_eq!(members(&machine, "B"), names(&["gov"]));
    assert_eq!(members(&machine, "A"), names(&["eve", "gov"]));
    assert!(
        machine
            .peer_groups()
            .iter()
            .all(|group| !group.tables.contains(&table("Z")))
    );
}

#[test]
fn what_was_lost_is_told_again() {
    let mut machine = start("gov", vec![share("A", &[])]);
    outputs(&mut machine);
    let told = answer_to(&mut machine, 0, "bank", vec![fact("bank", 1, "A")]);
    assert_eq!(names_of(&told), [("gov", "A")]);
    // The answer did not arrive: the bank has heard nothing yet.
    let told = answer_to(&mut machine, 1, "bank", vec![fact("bank", 1, "A")]);
    assert_eq!(names_of(&told), [("gov", "A")]);
}

#[test]
fn what_was_heard_is_not_told_again() {
    let mut machine = start("gov", vec![share("A", &[])]);
    outputs(&mut machine);
    let ask = |machine: &mut Machine, heard| {
        let said = Said {
            heard,
            ..said([fact("bank", 1, "A")])
        };
        let asked = Input::Asked {
            call: 1,
            from: peer("bank"),
            said,
        };
        let outputs = handled(machine, 0, asked);
        outputs.into_iter().find_map(|output| match output {
            Output::Answer { said, .. } => Some(said),
            _ => None,
        })
    };
    let first = ask(&mut machine, Heard::default()).expect("an answer");
    let heard = Heard {
        life: first.covers.life,
        upto: first.covers.upto,
    };
    let second = ask(&mut machine, heard).expect("an answer");
    assert_eq!((first.facts.len(), second.facts.len()), (1, 0));
}

#[test]
fn large_news_travel_in_parts() {
    let limits = Limits {
        facts_max: 2,
        ..LIMITS
    };
    let known = (0..5).map(|at| fact(&format!("p{at}"), 1, "A")).collect();
    let mut machine = Machine::new(
        identity("gov", "http://gov", 1),
        vec![share("A", &[])],
        known,
        limits,
    );
    outputs(&mut machine);
    let told = answer_to(&mut machine, 0, "bank", vec![fact("bank", 1, "A")]);
    assert_eq!(told.len(), 2);
}

#[test]
fn a_second_peer_of_this_name_is_complained_of() {
    let mut machine = start("gov", vec![share("A", &[])]);
    outputs(&mut machine);
    let mut other = fact("gov", 1, "A");
    other.address = "http://copy".into();
    let said = handled(
        &mut machine,
        0,
        Input::Asked {
            call: 1,
            from: peer("gov"),
            said: said([other]),
        },
    );
    assert!(
        matches!(&said[..], [Output::Complain(said), Output::Answer { .. }] if said.contains("http://copy")),
        "{said:?}"
    );
}

#[test]
fn its_own_address_among_the_seeds_is_no_seed() {
    let machine = start("gov", vec![share("A", &["http://gov"])]);
    assert!(machine.is_settled());
    assert_eq!(machine.poll_timeout(), None);
}

#[test]
fn failures_are_retried_with_growing_waits() {
    let mut machine = start("gov", vec![share("A", &["http://bank"])]);
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..6 {
        handled(&mut machine, now, Input::Tick);
        handled(
            &mut machine,
            now,
            Input::Unanswered {
                address: "http://bank".into(),
                why: "refused".into(),
            },
        );
        let due = machine.poll_timeout().expect("it calls again");
        waits.push(due - now);
        now = due;
    }
    assert!(
        waits[0] <= 100 && waits[5] >= 500 && waits[5] <= 1_000,
        "{waits:?}"
    );
    handled(
        &mut machine,
        now,
        Input::Asked {
            call: 1,
            from: peer("bank"),
            said: said([fact("bank", 1, "A")]),
        },
    );
    assert!(
        machine.poll_timeout().is_none_or(|due| due <= now),
        "who calls is alive: it is called at once"
    );
}

#[test]
fn transactions_show_who_is_reachable() {
    let known = vec![fact("bank", 1, "A")];
    let mut machine = Machine::new(
        identity("gov", "http://gov", 1),
        vec![share("A", &[])],
        known,
        LIMITS,
    );
    outputs(&mut machine);
    machine.handle(
        7,
        Input::Contact {
            peer: peer("bank"),
            error: None,
        },
    );
    assert_eq!(
        (machine.peers()[1].reach, machine.peers()[1].last_answer),
        (Reach::Reachable, Some(7))
    );
    machine.handle(
        8,
        Input::Contact {
            peer: peer("bank"),
            error: Some("connection refused".into()),
        },
    );
    assert_eq!(machine.peers()[1].reach, Reach::Unreachable);
}

#[test]
fn only_what_this_life_has_not_said_shows_an_earlier_database() {
    let said_of_me = |incarnation, of| Input::Answered {
        address: "http://bank".into(),
        from: peer("bank"),
        said: said([fact("bank", 1, "A"), fact("ins", incarnation, of)]),
    };
    let overtaken = |input| {
        let identity = identity("ins", "http://ins", 4);
        let mut machine =
            Machine::new(identity, vec![share("A", &["http://bank"])], vec![], LIMITS);
        machine.handle(0, Input::Tick);
        outputs(&mut machine);
        let outputs = handled(&mut machine, 1, input);
        outputs.into_iter().find_map(|output| match output {
            Output::CountBeyond(Overtaken { by, seen, own }) => Some((by, seen, own)),
            _ => None,
        })
    };
    assert_eq!(overtaken(said_of_me(3, "A")), None, "an earlier life");
    assert_eq!(overtaken(said_of_me(4, "A")), None, "its own words");
    assert_eq!(overtaken(said_of_me(4, "B")), Some((peer("bank"), 4, 4)));
    assert_eq!(overtaken(said_of_me(9, "A")), Some((peer("bank"), 9, 4)));
    // A bigint counts on behind the first of them; no database has counted so far as the second.
    let most = 1 << 62;
    assert_eq!(
        overtaken(said_of_me(most, "A")),
        Some((peer("bank"), most, 4))
    );
    assert_eq!(overtaken(said_of_me(most + 1, "A")), None);
    assert_eq!(overtaken(said_of_me(u64::MAX, "A")), None);
}
