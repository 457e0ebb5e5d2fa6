//! Applying: shown first, done once, refused while something is in doubt, and undone.

use dejima_core::database::{PartChange, Target};
use dejima_core::delta::PutRow;
use dejima_core::transaction::{Answer, Decision};

use crate::bed::{apply, bed, cells, declared, finish, prepare, simple};

const T: &str =
    "CREATE TABLE t (id integer PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, 'x', 'y')";

/// What stands in the database of all that is generated.
const STATE: &str = "SELECT (SELECT string_agg(g::text, ' ' ORDER BY part) FROM dejima.generated AS g),
    (SELECT string_agg(s::text, ' ' ORDER BY s) FROM dejima.shape AS s WHERE what !~ '^obstacle'),
    (SELECT string_agg(proname || md5(prosrc), ' ' ORDER BY proname) FROM pg_proc WHERE pronamespace = 'dejima'::regnamespace),
    (SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = to_regclass('dejima_tables.\"T\"'))";

fn words(changes: &[PartChange]) -> Vec<String> {
    let word = |change: &PartChange| {
        let (action, part, lock) = (change.action.word(), &change.part, &change.lock);
        format!("{action} {part} ({}): {lock}", change.table)
    };
    changes.iter().map(word).collect()
}

#[tokio::test]
async fn what_is_applied_is_shown_before_and_done_once() {
    let bed = bed("applying", T).await;
    let database = bed.connect().await;
    let wanted = declared(simple(&["id", "a"]));
    let target = Target::Declared(&wanted);
    let before = bed.admin(STATE);
    let previewed = database.preview(target).await.unwrap().changes;
    assert_eq!(
        words(&previewed),
        [
            "create view dejima_tables.\"T\" (T): ",
            "create functions that put (T): ACCESS EXCLUSIVE on dejima_tables.\"T\"",
            "create capture triggers of public.t (): SHARE ROW EXCLUSIVE on public.t",
            "create function dejima.put (): ",
        ]
    );
    assert_eq!(bed.admin(STATE), before, "a look changes nothing");
    assert_eq!(database.apply(target).await.unwrap(), previewed);
    assert_eq!(database.preview(target).await.unwrap().changes, []);
    assert_eq!(database.apply(target).await.unwrap(), []);
    database.declare(&wanted).await.unwrap();
    let wider = declared(simple(&["id", "a", "b"]));
    let changes = database.apply(Target::Declared(&wider)).await.unwrap();
    assert_eq!(
        words(&changes),
        [
            "change view dejima_tables.\"T\" (T): ACCESS EXCLUSIVE on dejima_tables.\"T\"",
            "change functions that put (T): ACCESS EXCLUSIVE on dejima_tables.\"T\"",
            "change capture triggers of public.t (): ACCESS EXCLUSIVE on public.t",
        ]
    );
    let changes = database
        .preview(Target::Declared(&[]))
        .await
        .unwrap()
        .changes;
    assert_eq!(
        words(&changes),
        [
            "drop capture triggers of public.t (): ACCESS EXCLUSIVE on public.t",
            "drop functions that put (T): ACCESS EXCLUSIVE on dejima_tables.\"T\"",
            "drop view dejima_tables.\"T\" (T): ACCESS EXCLUSIVE on dejima_tables.\"T\"",
            "change function dejima.put (): ",
        ]
    );
}

#[tokio::test]
async fn what_was_applied_is_undone_and_done_again() {
    let bed = bed("undoing", T).await;
    let database = bed.connect().await;
    let error = database.apply(Target::Before).await.unwrap_err();
    assert!(error.to_string().contains("nothing was applied"), "{error}");
    let narrow = declared(simple(&["id", "a"]));
    let wide = declared(simple(&["id", "a", "b"]));
    database.apply(Target::Declared(&narrow)).await.unwrap();
    let before = bed.admin(STATE);
    database.apply(Target::Declared(&wide)).await.unwrap();
    let after = bed.admin(STATE);
    assert_ne!(before, after);
    database.apply(Target::Before).await.unwrap();
    assert_eq!(bed.admin(STATE), before);
    database.apply(Target::Before).await.unwrap();
    assert_eq!(bed.admin(STATE), after, "what was undone can be undone");
    database.apply(Target::Declared(&narrow)).await.unwrap();
    database.declare(&narrow).await.unwrap();
    assert_eq!(bed.admin(STATE), before);
}

#[tokio::test]
async fn nothing_is_applied_while_a_transaction_is_in_doubt() {
    let bed = bed(
        "doubtful",
        &format!("{T}; CREATE TABLE u (id integer PRIMARY KEY)"),
    )
    .await;
    let declarations = simple(&["id", "a"]);
    let database = bed.share(declarations.clone()).await;
    let gid = bed.gid(1);
    let update = PutRow::Update {
        key: vec!["1".into()],
        old: cells(&[("a", "x")]),
        new: cells(&[("a", "z")]),
    };
    database.execute(apply(&gid, "T", vec![update])).await;
    let prepared = database.execute(prepare(&gid, &[])).await;
    assert!(
        matches!(prepared, Some(Answer::Prepared { .. })),
        "{prepared:?}"
    );
    let before = bed.admin(STATE);
    let wide = declared(simple(&["id", "a", "b"]));
    let error = database.apply(Target::Declared(&wide)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "peer \"bank\": transactions are in doubt, and were made with what would be changed: {gid}; \
             start the peer, which ends them (`dejima tx list` shows them), and apply then"
        )
    );
    assert_eq!(bed.admin(STATE), before);
    let same = declared(declarations);
    assert_eq!(database.apply(Target::Declared(&same)).await.unwrap(), []);
    database.execute(finish(&gid, Decision::Commit)).await;
    database.apply(Target::Declared(&wide)).await.unwrap();
    assert_eq!(
        bed.admin("SELECT t::text FROM dejima_tables.\"T\" AS t"),
        "(1,z,y)"
    );
}
