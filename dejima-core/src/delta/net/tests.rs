//! What is told of rows, in the order of events and in others, and what came of it.

use proptest::prelude::*;

use super::*;
use crate::delta::Column;
use crate::name::TableName;

fn schema() -> Schema {
    let column = |name: &str| Column {
        name: name.into(),
        type_name: "text".into(),
    };
    Schema {
        columns: vec![column("k"), column("v")],
        key: vec![0],
    }
}

fn row(text: &str) -> Option<Row> {
    let (key, value) = text.split_once('=')?;
    Some(vec![
        Some(key.into()),
        (!value.is_empty()).then(|| value.into()),
    ])
}

/// "old>new".
fn captured(step: &str) -> Captured {
    let (old, new) = step.split_once('>').expect("old>new");
    Captured {
        statement: 1,
        table: TableName::new("t").expect("a name"),
        old: row(old),
        new: row(new),
    }
}

fn absorb(net: &mut Net, steps: &str) -> Result<BTreeSet<RowId>, InvalidRow> {
    let captured: Vec<_> = steps.split_terminator(';').map(captured).collect();
    net.absorb(&schema(), &captured)
}

/// Steps joined by ';' are told at once.
fn net(told: &[&str]) -> Vec<String> {
    let (mut net, mut touched) = (Net::default(), BTreeSet::new());
    for steps in told {
        touched.extend(absorb(&mut net, steps).expect("rows fit"));
    }
    touched
        .iter()
        .filter_map(|id| net.change(id).map(|change| describe(id, &change)))
        .collect()
}

fn describe(id: &RowId, change: &Change) -> String {
    let text = |value: &Value| value.as_deref().unwrap_or("NULL").to_owned();
    let cells = |new: &BTreeMap<ColumnIndex, Cell>| {
        new.iter()
            .map(|(column, cell)| format!("{column}={}", text(&cell.value)))
            .collect::<Vec<_>>()
            .join(",")
    };
    match change {
        Change::Insert { new } => format!("insert {} {}", id.key[0], cells(new)),
        Change::Update { new, .. } => format!("update {} {}", id.key[0], cells(new)),
        Change::Delete { .. } => format!("delete {}", id.key[0]),
    }
}

#[test]
fn what_comes_back_is_no_change() {
    assert_eq!(net(&["a=1>a=2", "a=2>a=1"]), Vec::<String>::new());
    assert_eq!(net(&[">a=1", "a=1>"]), Vec::<String>::new());
    assert_eq!(net(&["a=1>", ">a=1"]), Vec::<String>::new());
}

#[test]
fn the_first_old_and_the_last_new_count() {
    assert_eq!(net(&["a=1>a=2", "a=2>a=3"]), ["update a 1=3"]);
    assert_eq!(net(&[">a=1", "a=1>a=2"]), ["insert a 0=a,1=2"]);
    assert_eq!(net(&["a=1>a=2", "a=2>"]), ["delete a"]);
    assert_eq!(net(&["a=1>", ">a=2"]), ["update a 1=2"]);
}

#[test]
fn invariant_3_null_in_an_insert_is_unset_and_in_an_update_a_value() {
    assert_eq!(net(&[">a="]), ["insert a 0=a"]);
    assert_eq!(net(&["a=1>a="]), ["update a 1=NULL"]);
}

#[test]
fn invariant_8_a_row_keeps_its_identity_when_its_key_changes() {
    assert_eq!(net(&["a=1>b=1", "b=1>b=2"]), ["update a 0=b,1=2"]);
    assert_eq!(net(&[">a=1", "a=1>b=1"]), ["insert b 0=b,1=1"]);
    assert_eq!(net(&["a=1>b=1", "b=1>a=1"]), Vec::<String>::new());
}

#[test]
fn invariant_8_a_row_that_comes_back_under_its_key_is_the_one_that_went() {
    // All told at once, as a hook does.
    assert_eq!(net(&["a=1>;>a=2"]), ["update a 1=2"]);
    assert_eq!(net(&["a=1>;>a=2;a=2>b=2"]), ["update a 0=b,1=2"]);
    assert_eq!(net(&["a=1>;>a=2;a=2>b=2;b=2>a=1"]), Vec::<String>::new());
    assert_eq!(
        net(&["a=1>;>a=2;a=2>b=2;>a=3"]),
        ["update a 0=b,1=2", "insert a 0=a,1=3"]
    );
}

#[test]
fn keys_change_hands_within_one_statement() {
    assert_eq!(net(&["a=1>b=1;b=2>a=2"]), ["update a 0=b", "update b 0=a"]);
    assert_eq!(
        net(&["b=2>c=2", "a=1>b=1"]),
        ["update a 0=b", "update b 0=c"]
    );
}

#[test]
fn a_cascade_may_change_a_row_again_in_the_same_statement() {
    assert_eq!(net(&["a=1>b=1;b=1>b=2"]), ["update a 0=b,1=2"]);
    // No cascade: the rows look alike.
    assert_eq!(net(&["b=1>c=1;a=1>b=1"]), ["update a 0=b", "update b 0=c"]);
}

#[test]
fn what_a_statement_did_may_be_told_after_what_its_triggers_did() {
    assert_eq!(net(&["a=2>a=3;a=1>a=2"]), ["update a 1=3"]);
    assert_eq!(net(&["a=2>a=3;>a=2"]), ["insert a 0=a,1=3"]);
    assert_eq!(net(&["b=2>b=3;a=1>b=2"]), ["update a 0=b,1=3"]);
    assert_eq!(net(&["a=2>;a=1>a=2"]), ["delete a"]);
    assert_eq!(net(&[">a=1;a=2>;a=1>a=2"]), Vec::<String>::new());
    assert_eq!(net(&["a=3>;a=1>a=2;a=2>a=3"]), ["delete a"]);
    assert_eq!(net(&["a=2>a=1;a=1>a=2"]), Vec::<String>::new());
    assert_eq!(net(&["a=0>;a=2>a=3;>a=2"]), ["update a 1=3"]);
    assert_eq!(net(&[">a=2;a=1>"]), ["update a 1=2"]);
    assert_eq!(
        net(&["a=0>c=0;a=2>b=2;>a=2"]),
        ["update a 0=c", "insert b 0=b,1=2"]
    );
}

#[test]
fn what_a_statement_did_may_be_undone_by_its_triggers_and_told_after_that() {
    // a was 1, 2, 1 again, and then what is told last.
    assert_eq!(net(&["a=2>a=1;a=1>a=2;a=1>"]), ["delete a"]);
    assert_eq!(net(&["a=2>a=1;a=1>a=2;a=1>a=3"]), ["update a 1=3"]);
    assert_eq!(net(&["a=2>a=1;a=1>a=2;a=1>b=3"]), ["update a 0=b,1=3"]);
    assert_eq!(net(&["a=2>a=1;a=1>a=2;a=1>;>a=3"]), ["update a 1=3"]);
    assert_eq!(net(&["a=2>a=1;a=1>a=2;>a=1;a=1>"]), Vec::<String>::new());
    assert_eq!(net(&["a=2>a=1;a=1>a=2;a=0>a=1;a=1>"]), ["delete a"]);
    // Twice; and by way of a third.
    assert_eq!(net(&["a=2>a=1;a=1>a=2;a=2>a=1;a=1>a=2;a=1>"]), ["delete a"]);
    assert_eq!(net(&["a=3>a=1;a=2>a=3;a=1>a=2;a=1>"]), ["delete a"]);
    assert_eq!(net(&["a=3>a=1;a=2>a=3;a=1>a=2;a=2>"]), ["delete a"]);
    // The detour is told last.
    assert_eq!(net(&["a=0>a=1;a=1>a=3;a=2>a=1;a=1>a=2"]), ["update a 1=3"]);
    // What happens next is what happened to the row that is there.
    assert_eq!(
        net(&["a=2>a=1;a=1>a=2;a=1>a=3", "a=3>a=4"]),
        ["update a 1=4"]
    );
    assert_eq!(
        net(&["a=2>a=1;a=1>a=2;a=1>b=3", "b=3>", ">a=2"]),
        ["update a 1=2"]
    );
}

#[test]
fn two_rows_with_one_key_are_not_explained() {
    for steps in ["a=1>a=2;a=3>a=4", "a=1>;a=2>", ">a=1;>a=2", "a=1>a=2;>a=3"] {
        assert_eq!(
            absorb(&mut Net::default(), steps),
            Err(InvalidRow::Unexplained),
            "{steps}"
        );
    }
}

#[test]
fn a_new_row_may_take_the_key_of_one_that_moved() {
    assert_eq!(
        net(&["a=1>b=1", ">a=9"]),
        ["update a 0=b", "insert a 0=a,1=9"]
    );
    assert_eq!(net(&["a=1>b=1;>a=9;b=1>"]), ["update a 1=9"]);
    // A trigger leaves a row under the key from which another, new too, has moved.
    assert_eq!(
        net(&[">a=1;>a=2;a=1>b=1"]),
        ["insert a 0=a,1=2", "insert b 0=b,1=1"]
    );
    assert_eq!(
        net(&[">a=1", ">a=2;a=1>b=1"]),
        ["insert a 0=a,1=2", "insert b 0=b,1=1"]
    );
}

/// What happens, told in order; the rows before and after that, by their keys.
struct History {
    steps: Vec<String>,
    before: BTreeMap<char, u8>,
    after: BTreeMap<char, u8>,
}

/// A choice is a key, a key to move to if it is free, and a value; 0 for no row.
fn happen(choices: &[(char, char, u8)]) -> History {
    let before = BTreeMap::from([('a', 1), ('b', 1)]);
    let (mut steps, mut after) = (vec![], before.clone());
    for &(key, other, value) in choices {
        let old = after.remove(&key).map(|old| (key, old));
        let moves = old.is_some() && !after.contains_key(&other);
        let new = (value > 0).then_some((if moves { other } else { key }, value));
        after.extend(new);
        if old != new {
            steps.push(format!("{}>{}", image(old), image(new)));
        }
    }
    History {
        steps,
        before,
        after,
    }
}

fn image(row: Option<(char, u8)>) -> String {
    row.map_or(String::new(), |(key, value)| format!("{key}={value}"))
}

/// The steps in the order of the places.
fn told<T>(steps: &[String], places: &[T]) -> String
where
    T: Ord,
{
    let mut told: Vec<_> = places.iter().zip(steps).collect();
    told.sort_by_key(|(place, _)| *place);
    let told: Vec<_> = told.into_iter().map(|(_, step)| step.as_str()).collect();
    told.join(";")
}

/// The rows afterwards; `None` if the peer refuses, or the next one because it finds other rows.
fn outcome(told: &str, before: &BTreeMap<char, u8>) -> Option<BTreeMap<char, u8>> {
    let mut net = Net::default();
    let touched = absorb(&mut net, told).ok()?;
    let changed = touched.iter().filter(|id| net.change(id).is_some());
    let changed: Vec<_> = changed.map(|id| &net.records[net.by_id[id]]).collect();
    let parts = |row: &Row| {
        let [Some(key), Some(value)] = &row[..] else {
            return None;
        };
        Some((key.chars().next()?, value.parse().ok()?))
    };
    let mut rows = before.clone();
    for (key, value) in changed.iter().filter_map(|c| parts(c.old.as_ref()?)) {
        if rows.remove(&key) != Some(value) {
            return None;
        }
    }
    for (key, value) in changed.iter().filter_map(|c| parts(c.new.as_ref()?)) {
        if rows.insert(key, value).is_some() {
            return None;
        }
    }
    Some(rows)
}

fn key() -> impl Strategy<Value = char> {
    proptest::char::range('a', 'c')
}

proptest! {
    /// Under one key a row comes, changes and goes: the first and the last count.
    #[test]
    fn what_happens_under_one_key_may_be_told_in_any_order(
        values in proptest::collection::vec(0..4u8, 1..9),
        places: [u16; 9],
    ) {
        let image = |value: u8| image((value > 0).then_some(('a', value)));
        let steps: Vec<_> = values
            .windows(2)
            .filter(|step| step[0] != step[1])
            .map(|step| format!("{}>{}", image(step[0]), image(step[1])))
            .collect();
        let expected = match (values[0], values[values.len() - 1]) {
            (first, last) if first == last => vec![],
            (0, last) => vec![format!("insert a 0=a,1={last}")],
            (_, 0) => vec!["delete a".to_owned()],
            (_, last) => vec![format!("update a 1={last}")],
        };
        let told = told(&steps, &places);
        prop_assert_eq!(net(&[&told]), expected, "{:?} told as {}", values, told);
    }

    /// Invariant 6: rows also move between keys; in whatever order that is told, it leads to the rows that are there, or to a refusal.
    #[test]
    fn invariant_6_no_order_in_which_rows_are_told_loses_a_change(
        choices in proptest::collection::vec((key(), key(), 0..3u8), 1..9),
        places: [u16; 9],
    ) {
        let History { steps, before, after } = happen(&choices);
        let told = told(&steps, &places);
        if let Some(rows) = outcome(&told, &before) {
            prop_assert_eq!(rows, after, "{:?} told as {}", steps, told);
        }
    }

    /// And in the order of events it leads there.
    #[test]
    fn what_is_told_in_order_is_never_refused(
        choices in proptest::collection::vec((key(), key(), 0..3u8), 1..9),
    ) {
        let History { steps, before, after } = happen(&choices);
        prop_assert_eq!(outcome(&steps.join(";"), &before), Some(after), "{:?}", steps);
    }
}
