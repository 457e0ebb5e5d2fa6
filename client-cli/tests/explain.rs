//! Whom a statement may reach and how the groups were found, as the operator of a real peer is told.

use std::process::{Command, Output, Stdio};

use dejima_testbed::{Counts, Layout, World, WorldOptions, worked_example};
use serde_json::{Value, json};

/// What may write more than a statement at the bank says.
const FOLLOWERS: &str = "
CREATE TABLE card (number integer PRIMARY KEY, first_name text, last_name text,
  CONSTRAINT card_holder FOREIGN KEY (first_name, last_name) REFERENCES bank_users ON UPDATE CASCADE ON DELETE SET NULL);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER note_move AFTER UPDATE OF address ON bank_users FOR EACH ROW EXECUTE FUNCTION note();
CREATE TRIGGER note_end AFTER DELETE ON bank_users FOR EACH ROW EXECUTE FUNCTION note();
CREATE VIEW customers AS SELECT first_name FROM bank_users;";

struct Bank<'a> {
    world: &'a World,
}

impl Bank<'_> {
    fn dejima(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_dejima"))
            .args(arguments)
            .env("DEJIMA_PEER", self.world.local_address("bank"))
            .env("PGUSER", "bank")
            .env_remove("DEJIMA_DATABASE")
            .stdin(Stdio::null())
            .output()
            .expect("it runs")
    }

    fn text(&self, arguments: &[&str]) -> String {
        let output = self.dejima(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let text = self.text(&[&["-o", "json"], arguments].concat());
        serde_json::from_str(&text).expect("JSON")
    }

    /// What is touched here, and each peer with the tables by which, and whether this peer tells it.
    fn explained(&self, sql: &str) -> (Value, Value) {
        let document = self.json(&["explain", sql]);
        let list = |name: &str| document[name].as_array().expect("a list").clone();
        let tables = list("tables").into_iter();
        let peers = list("peers").into_iter();
        (
            tables
                .map(|table| json!([table["table"], table["columns"]]))
                .collect(),
            peers
                .map(|peer| json!([peer["name"], peer["tables"], peer["is_direct"]]))
                .collect(),
        )
    }

    fn may_also_write(&self, sql: &str) -> Value {
        self.json(&["explain", sql])["writes"][0]["may_also_write"].clone()
    }

    fn error(&self, sql: &str) -> String {
        let output = self.dejima(&["explain", sql]);
        assert!(!output.status.success(), "{sql}: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    }
}

async fn world() -> World {
    let options = WorldOptions {
        layout: Layout::OneCluster,
        ..WorldOptions::default()
    };
    let world = World::start(worked_example(Counts::default()), options).await;
    let world = world.expect("the world starts");
    world.await_quiet().await.expect("peers answer");
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn the_groups_of_the_worked_example_are_found_and_what_it_took() {
    let world = world().await;
    let bank = Bank { world: &world };
    let groups = bank.json(&["groups"]);
    let all = ["bank", "government", "insurance"];
    let expected = json!([
        { "dejima_tables": ["ShareGovBank"], "attributes": ["phone"], "peers": ["bank", "government"] },
        { "dejima_tables": ["ShareGovBank", "ShareGovInsurance"], "attributes": ["address"], "peers": all },
        {
            "dejima_tables": ["ShareGovBank", "ShareGovInsurance", "ShareRiskFactor"],
            "attributes": ["first_name", "last_name"], "peers": all,
        },
        { "dejima_tables": ["ShareRiskFactor"], "attributes": ["risk_factor"], "peers": ["bank", "insurance"] },
    ]);
    assert_eq!(groups["peer_groups"], expected);
    let detection = &groups["detection"];
    for counter in ["messages_received", "updates", "ready_ms_ago"] {
        assert!(detection[counter].as_u64() > Some(0), "{detection}");
    }
    assert_eq!(detection["conflicts"], 0, "{detection}");
    assert!(detection["complete_ms_ago"].is_u64(), "{detection}");
    let text = bank.text(&["groups"]);
    assert!(text.contains("dejima tables") && text.contains("ShareGovBank, ShareGovInsurance"));

    let stats = bank.text(&["groups", "--stats"]);
    let value = |name: &str| {
        let line = stats.lines().find(|line| line.contains(name));
        let line = line.unwrap_or_else(|| panic!("{name}: {stats}"));
        line.split(['│', '┆']).nth(2).expect("a value").trim()
    };
    let number = |name: &str| value(name).parse::<u64>().expect("a number");
    assert!(
        number("messages received") > 0 && number("updates") > 0,
        "{stats}"
    );
    assert!(value("last update").ends_with(" ago"), "{stats}");
    assert_eq!(value("conflicts"), "0");
    assert!(value("complete since").ends_with('s'), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_explained_and_not_executed() {
    let mut world = world().await;
    let superuser = world.superuser("bank").await.expect("a connection");
    superuser
        .batch_execute(FOLLOWERS)
        .await
        .expect("it is made");
    let bank = Bank { world: &world };
    bank.text(&[
        "insert",
        "bank_users",
        "first_name=Ann",
        "last_name=Lee",
        "phone=1",
    ]);

    // The address also goes on from the government to the insurance, which shares something else with the bank.
    let address = "UPDATE bank_users SET address = 'x'";
    let to_government = json!(["government", ["ShareGovBank"], true]);
    let expected = (
        json!([["ShareGovBank", ["address"]]]),
        json!([to_government, ["insurance", ["ShareGovInsurance"], false]]),
    );
    assert_eq!(bank.explained(address), expected);
    let text = bank.text(&["explain", address]);
    assert!(!text.contains("ShareRiskFactor"), "{text}");
    assert!(
        text.contains("No absent peer and no incomplete group"),
        "{text}"
    );
    assert!(
        text.contains("what trigger \"note_move\" of bank_users writes"),
        "{text}"
    );

    let phone = "UPDATE ONLY public.Bank_Users AS u SET (phone) = ROW('2')";
    let expected = (json!([["ShareGovBank", ["phone"]]]), json!([to_government]));
    assert_eq!(bank.explained(phone), expected);

    let risk = "WITH x AS (UPDATE bank_users SET risk_factor = 1 RETURNING *) SELECT * FROM x";
    let expected = (
        json!([["ShareRiskFactor", ["risk_factor"]]]),
        json!([["insurance", ["ShareRiskFactor"], true]]),
    );
    assert_eq!(bank.explained(risk), expected);

    let whole = json!([
        [
            "ShareGovBank",
            ["first_name", "last_name", "phone", "address"]
        ],
        [
            "ShareRiskFactor",
            ["first_name", "last_name", "risk_factor"]
        ]
    ]);
    // Who hears of it by one way may tell the others: a cycle.
    let everybody = json!([
        ["government", ["ShareGovBank", "ShareGovInsurance"], true],
        ["insurance", ["ShareGovInsurance", "ShareRiskFactor"], true]
    ]);
    for sql in [
        "DELETE FROM bank_users",
        "INSERT INTO bank_users VALUES ('a', 'b')",
        "UPDATE bank_users SET last_name = 'Ray'",
    ] {
        let expected = (whole.clone(), everybody.clone());
        assert_eq!(bank.explained(sql), expected, "{sql}");
    }

    let card =
        |action: &str| json!({ "foreign_key": "card_holder", "table": "card", "action": action });
    let trigger = |name: &str| json!({ "trigger": name, "function": "note" });
    assert_eq!(bank.may_also_write(phone), json!([]));
    assert_eq!(bank.may_also_write(address), json!([trigger("note_move")]));
    assert_eq!(
        bank.may_also_write("UPDATE bank_users SET last_name = 'Ray'"),
        json!([card("CASCADE")])
    );
    assert_eq!(
        bank.may_also_write("DELETE FROM bank_users"),
        json!([card("SET NULL"), trigger("note_end")])
    );

    assert_eq!(bank.explained("DELETE FROM card"), (json!([]), json!([])));
    let text = bank.text(&["explain", "DELETE FROM card"]);
    assert!(text.contains("no other peer hears of it"), "{text}");
    for (sql, why) in [
        ("UPDATE bank_users SET adress = 1", "no column \"adress\""),
        ("UPDATE \"Bank_Users\" SET address = 1", "42P01"),
        (
            "UPDATE customers SET first_name = 'x'",
            "customers is no table",
        ),
        ("SELECT 1", "this is SELECT"),
    ] {
        assert!(bank.error(sql).contains(why), "{}", bank.error(sql));
    }
    let rows = superuser.query_one("SELECT string_agg(u::text, ';') FROM bank_users AS u", &[]);
    let rows: String = rows.await.expect("it can be read").get(0);
    assert_eq!(rows, "(Ann,Lee,1,,)", "nothing was executed");

    assert!(world.member_mut("government").process.stop().await);
    let bank = Bank { world: &world };
    let update = [
        "update",
        "bank_users",
        "--key",
        "first_name=Ann",
        "--set",
        "phone=2",
    ];
    assert!(
        !bank.dejima(&update).status.success(),
        "the government is away"
    );
    let refusals = |sql: &str| bank.json(&["explain", sql])["refusals"].clone();
    let away = json!(["peer \"government\" is unreachable"]);
    assert_eq!((refusals(phone), refusals(address)), (away.clone(), away));
    assert_eq!(refusals(risk), json!([]));
    let text = bank.text(&["explain", phone]);
    assert!(
        text.contains("It would be refused now: peer \"government\""),
        "{text}"
    );
}
