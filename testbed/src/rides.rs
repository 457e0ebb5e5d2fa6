//! The second worked example: providers of vehicles, each with a schema of its own, and two alliances that assign rides to them.

use crate::organisation::{Organisation, Share};

/// A file of the folder `strategies/rides`: its name and its text.
macro_rules! strategy {
    ($file:literal) => {
        (
            $file,
            include_str!(concat!("../../strategies/rides/", $file)),
        )
    };
}

/// A Dejima table of an organisation, its file, and the organisation that founds it if that is another.
type Declared = (
    &'static str,
    (&'static str, &'static str),
    Option<&'static str>,
);

const BLUE: &str = "
CREATE TABLE area (location integer PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE vehicle (
  id text PRIMARY KEY, location integer NOT NULL REFERENCES area, request text,
  to_north boolean NOT NULL, to_south boolean NOT NULL
);
INSERT INTO area VALUES (1, 'harbour'), (2, 'station');";

const GREEN: &str = "
CREATE TABLE car (plate text PRIMARY KEY, area text NOT NULL, to_north boolean NOT NULL, to_south boolean NOT NULL);
CREATE TABLE booking (plate text PRIMARY KEY REFERENCES car, request text NOT NULL);";

const RED: &str = "
CREATE TABLE cab (id text PRIMARY KEY, area text NOT NULL, request text);
CREATE TABLE van (id text PRIMARY KEY, area text NOT NULL, request text, seats integer NOT NULL DEFAULT 8);";

const ALLIANCE: &str = "
CREATE TABLE fleet (provider text, vehicle text, area text NOT NULL, request text, kind text, PRIMARY KEY (provider, vehicle));";

/// Three providers, each of which offers its vehicles to one or both of two alliances.
pub fn ride_sharing() -> Vec<Organisation> {
    vec![
        organisation(
            "blue",
            BLUE,
            &["area", "vehicle"],
            &[
                ("NorthBlue", strategy!("north_blue.dl"), None),
                ("SouthBlue", strategy!("south_blue.dl"), None),
            ],
        ),
        organisation(
            "green",
            GREEN,
            &["car", "booking"],
            &[
                ("NorthGreen", strategy!("north_green.dl"), None),
                ("SouthGreen", strategy!("south_green.dl"), None),
            ],
        ),
        organisation(
            "red",
            RED,
            &["cab", "van"],
            &[("SouthRed", strategy!("south_red.dl"), None)],
        ),
        organisation(
            "north",
            ALLIANCE,
            &["fleet"],
            &[
                ("NorthBlue", strategy!("north_blue_fleet.sql"), Some("blue")),
                (
                    "NorthGreen",
                    strategy!("north_green_fleet.sql"),
                    Some("green"),
                ),
            ],
        ),
        organisation(
            "south",
            ALLIANCE,
            &["fleet"],
            &[
                ("SouthBlue", strategy!("south_blue_fleet.sql"), Some("blue")),
                (
                    "SouthGreen",
                    strategy!("south_green_fleet.sql"),
                    Some("green"),
                ),
                ("SouthRed", strategy!("south_red_fleet.sql"), Some("red")),
            ],
        ),
    ]
}

fn organisation(
    name: &str,
    base_sql: &str,
    base_tables: &[&str],
    tables: &[Declared],
) -> Organisation {
    let section = |(table, (file, _), _): &Declared| {
        format!("[[dejima_table]]\nname = \"{table}\"\nstrategy = \"{file}\"\n\n")
    };
    let share = |(table, _, founder): &Declared| Share {
        table: (*table).to_owned(),
        seeds: founder.iter().map(|&founder| founder.to_owned()).collect(),
    };
    let file = |(_, (file, text), _): &Declared| ((*file).to_owned(), (*text).to_owned());
    Organisation {
        name: name.to_owned(),
        kind: name.to_owned(),
        base_sql: base_sql.to_owned(),
        base_tables: base_tables.iter().map(|&table| table.to_owned()).collect(),
        declarations: tables.iter().map(section).collect(),
        strategies: tables.iter().map(file).collect(),
        shares: tables.iter().map(share).collect(),
        // Two alliances that wait for each other shall not do so for long.
        more_configuration: "[limits]\nlock_wait_ms_max = 50\n".to_owned(),
    }
}
