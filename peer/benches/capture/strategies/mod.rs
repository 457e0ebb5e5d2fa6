//! What strategies cost: changes of their base tables, changes through the Dejima table, and puts, beside the same
//! statements on tables that are not shared.

mod cases;
mod put;
mod tables;

use cases::{CASES, Case, Change};
use tables::Room;
use tokio_postgres::Client;

use crate::alone::Alone;

use crate::measure::{Result, cpu_ms, median, ratio};

/// Rows of a small and of a large table.
const SMALL: u64 = 1_000;
const LARGE: u64 = 1_000_000;
/// One-row transactions of a measurement, and how many of them have one figure: the figure in the middle counts, and not a
/// checkpoint, after which each page is logged as a whole once.
const SINGLES: u64 = 500;
const SINGLES_AT_ONCE: u64 = 25;
/// Statements of a session before it counts as old.
const OLD: u64 = 10_000;
/// Rows of one statement.
const MANY: [u64; 2] = [10_000, 100_000];

/// Milliseconds that a statement may take before a longer one is tried.
const MANY_MS_MAX: f64 = 10_000.0;

/// At most.
const MORE_MS_MAX: f64 = 0.3;
const FLAT_MAX: f64 = 1.5;
const MANY_MAX: f64 = 3.0;
const WAL_BYTES_MAX: f64 = 3072.0;

/// The strategies one after the other, all or that of this name: first on small tables, then on large ones.
pub(crate) async fn measure(turns: usize, name: Option<&str>) -> Result<()> {
    let is_meant = |case: &&Case| name.is_none_or(|name| case.name == name);
    let cases: Vec<&Case> = CASES.iter().filter(is_meant).collect();
    if cases.is_empty() {
        let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        return Err(format!("no strategy of that name; there are: {}", names.join("; ")).into());
    }
    let alone = Alone::start(tables::SCHEMA).await?;
    tables::make(&alone.superuser).await?;
    let mut report = Report::default();
    let mut small = Vec::new();
    tables::fill(&alone.superuser, 1..=SMALL).await?;
    for case in &cases {
        alone.declare(&[case.declaration()?]).await?;
        for way in ways(case) {
            report.begin(&way.to_string());
            let one = report.singles(&alone, &way, "1,000 rows", turns).await?;
            report.old_session(&alone, &way, one).await?;
            small.push(one);
        }
        report.begin(&format!("{}, put", case.name));
        let one = put::singles(&alone, case, turns).await?;
        report.say("  one row", one, None, "ms");
        small.push(one);
    }
    tables::fill(&alone.superuser, SMALL + 1..=LARGE).await?;
    let mut small = small.into_iter();
    for case in &cases {
        alone.declare(&[case.declaration()?]).await?;
        for way in ways(case) {
            report.begin(&way.to_string());
            let one = report
                .singles(&alone, &way, "1,000,000 rows", turns)
                .await?;
            report.flat(one, small.next(), "1,000,000 rows");
            for room in [Room::Left, Room::None] {
                report.many(&alone, &way, room, turns).await?;
            }
            tables::fill_pages(&alone.superuser, way.change.table, Room::Left).await?;
        }
        report.begin(&format!("{}, put", case.name));
        let one = put::singles(&alone, case, turns).await?;
        report.flat(one, small.next(), "1,000,000 rows");
        let mut for_a_row = vec![];
        for rows in MANY {
            let many = put::many(&alone, case, rows).await?;
            report.say(&format!("  {rows} rows"), many, None, "ms");
            for_a_row.push(many / rows as f64);
            if many > MANY_MS_MAX {
                break;
            }
        }
        report.linear(&for_a_row);
    }
    report.end()
}

/// How a client makes a change.
struct Way<'a> {
    case: &'a Case,
    change: &'a Change,
    /// Through the Dejima table instead of the base table.
    is_through: bool,
}

impl std::fmt::Display for Way<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (case, change) = (self.case, self.change);
        let where_to = if self.is_through {
            case.shown
        } else {
            change.table
        };
        write!(f, "{}, {where_to}.{}", case.name, change.column)
    }
}

fn ways(case: &Case) -> Vec<Way<'_>> {
    let way = |(change, is_through)| Way {
        case,
        change,
        is_through,
    };
    let both = case.changes.iter().flat_map(|c| [(c, false), (c, true)]);
    both.filter(|(change, is_through)| change.is_put || !is_through)
        .map(way)
        .collect()
}

impl Way<'_> {
    /// The statement, and the same on the plain table or view.
    fn statements(&self, found: &dyn Fn(&str) -> String) -> [String; 2] {
        let Change {
            table,
            column,
            value,
            ..
        } = self.change;
        let (base, shown) = ("id = $2::int", self.change.shown_key);
        let plain = match self.case.plain_view {
            Some(view) if self.is_through => (view.to_owned(), shown),
            _ => (tables::plain(table), base),
        };
        let ours = if self.is_through {
            (format!("dejima_tables.{}", self.case.shown), shown)
        } else {
            ((*table).to_owned(), base)
        };
        [plain, ours]
            .map(|(name, key)| format!("UPDATE {name} SET {column} = {value} WHERE {}", found(key)))
    }
}

/// CPU and WAL of one-row transactions.
#[derive(Default)]
struct Singles {
    cpu_ms: Vec<f64>,
    wal_bytes: Vec<f64>,
}

impl Singles {
    /// Measures so many.
    async fn add(&mut self, client: &Client, sql: &str, number: u64, value: i32) -> Result<()> {
        let update = client.prepare(sql).await?;
        for first in (0..number).step_by(usize::try_from(SINGLES_AT_ONCE)?) {
            let (cpu, wal) = (cpu_ms(client).await?, wal_bytes(client).await?);
            for at in first..first + SINGLES_AT_ONCE {
                let (id, value) = (at % SMALL + 1, value + i32::try_from(at / SMALL)?);
                let id = i32::try_from(id)?;
                client.execute(&update, &[&value, &id]).await?;
            }
            let (cpu, wal) = (cpu_ms(client).await? - cpu, wal_bytes(client).await? - wal);
            self.cpu_ms.push(cpu / SINGLES_AT_ONCE as f64);
            self.wal_bytes.push(wal / SINGLES_AT_ONCE as f64);
        }
        Ok(())
    }
}

async fn wal_bytes(client: &Client) -> Result<f64> {
    let sql = "SELECT (pg_current_wal_insert_lsn() - '0/0')::float8";
    Ok(client.query_one(sql, &[]).await?.get(0))
}

/// Prints figures, and counts the claims that do not hold.
#[derive(Default)]
struct Report {
    claims: usize,
    missed: Vec<String>,
    /// What is measured.
    measured: String,
    /// No value is written twice: each is a change.
    value: i32,
}

impl Report {
    fn begin(&mut self, what: &str) {
        println!("{what}");
        what.clone_into(&mut self.measured);
    }

    fn next_value(&mut self) -> i32 {
        self.value += 100;
        self.value
    }

    async fn singles(
        &mut self,
        alone: &Alone,
        way: &Way<'_>,
        rows: &str,
        turns: usize,
    ) -> Result<f64> {
        let client = alone.client().await?;
        let [plain_sql, ours_sql] = way.statements(&|key| key.to_owned());
        let (mut plain, mut ours) = (Singles::default(), Singles::default());
        for _ in 0..turns {
            let value = self.next_value();
            plain.add(&client, &plain_sql, SINGLES, value).await?;
            ours.add(&client, &ours_sql, SINGLES, value).await?;
        }
        let wal = ours.wal_bytes;
        let (plain, ours) = (median(plain.cpu_ms), median(ours.cpu_ms));
        println!(
            "  one row of {rows}: plain {plain:.3} ms, ours {ours:.3} ms, x {:.2}",
            ratio(ours, plain)
        );
        self.say("  more for one row", ours - plain, Some(MORE_MS_MAX), "ms");
        self.say(
            "  WAL for one row",
            median(wal),
            Some(WAL_BYTES_MAX),
            "bytes",
        );
        Ok(ours)
    }

    async fn old_session(&mut self, alone: &Alone, way: &Way<'_>, new: f64) -> Result<()> {
        let client = alone.client().await?;
        let [_, sql] = way.statements(&|key| key.to_owned());
        let value = self.next_value();
        Singles::default().add(&client, &sql, OLD, value).await?;
        let value = self.next_value();
        let mut old = Singles::default();
        old.add(&client, &sql, SINGLES, value).await?;
        self.flat(median(old.cpu_ms), Some(new), "after 10,000 statements");
        Ok(())
    }

    async fn many(&mut self, alone: &Alone, way: &Way<'_>, room: Room, turns: usize) -> Result<()> {
        let client = alone.client().await?;
        let pages = match room {
            Room::Left => "room on each page",
            Room::None => "pages full",
        };
        let mut for_a_row = vec![];
        for rows in MANY {
            let up_to = |key: &str| key.replace("= $2::int", &format!("<= {rows}"));
            let (mut plain, mut ours) = (vec![], vec![]);
            for _ in 0..turns {
                tables::fill_pages(&alone.superuser, way.change.table, room).await?;
                let value = self.next_value().to_string();
                for (sql, times) in way.statements(&up_to).iter().zip([&mut plain, &mut ours]) {
                    let before = cpu_ms(&client).await?;
                    client.batch_execute(&sql.replace("$1", &value)).await?;
                    times.push(cpu_ms(&client).await? - before);
                }
            }
            let (plain, ours) = (median(plain), median(ours));
            println!(
                "  {rows} rows in one statement, {pages}: plain {plain:.1} ms, ours {ours:.1} ms"
            );
            self.say(
                &format!("  {rows} rows to plain, {pages}"),
                ratio(ours, plain),
                Some(MANY_MAX),
                "x",
            );
            for_a_row.push(ours / rows as f64);
            if ours > MANY_MS_MAX {
                break;
            }
        }
        self.linear(&for_a_row);
        Ok(())
    }

    /// One that took too long has no other beside it: it is not linear, and that is said.
    fn linear(&mut self, for_a_row: &[f64]) {
        let ratio = match for_a_row {
            [few, many] => ratio(*many, *few),
            _ => f64::INFINITY,
        };
        self.say(
            "  100,000 rows to 10,000, a row",
            ratio,
            Some(FLAT_MAX),
            "x",
        );
    }

    fn flat(&mut self, now: f64, before: Option<f64>, when: &str) {
        let ratio = ratio(now, before.unwrap_or_default());
        self.say(
            &format!("  {when}: {now:.3} ms"),
            ratio,
            Some(FLAT_MAX),
            "x",
        );
    }

    fn say(&mut self, what: &str, figure: f64, max: Option<f64>, unit: &str) {
        let Some(max) = max else {
            return println!("{what:70} {figure:>10.3} {unit}");
        };
        self.claims += 1;
        let holds = figure <= max;
        let said = if holds { "holds" } else { "DOES NOT HOLD" };
        println!("{what:70} {figure:>10.3} {unit:5} (at most {max}) {said}");
        if !holds {
            let claim = format!("{}: {}", self.measured, what.trim());
            self.missed
                .push(format!("{claim:90} {figure:>9.3} {unit}, at most {max}"));
        }
    }

    fn end(self) -> Result<()> {
        let (claims, missed) = (self.claims, self.missed.len());
        println!("\n{claims} claims, {missed} do not hold");
        for claim in &self.missed {
            println!("{claim}");
        }
        match missed {
            0 => Ok(()),
            _ => Err(format!("{missed} of {claims} claims do not hold").into()),
        }
    }
}
