//! Which cells to run.

use dejima_core::crash_point::CrashPoint;

use crate::cell::{Cell, Side, Victim};

/// What the command line says.
#[derive(Debug, Default)]
pub(crate) struct Arguments {
    extent: Extent,
    /// Of the load, and of who is at the point.
    pub(crate) seed: u64,
}

#[derive(Debug, Default)]
enum Extent {
    /// Each point once, victims and sides by turns.
    #[default]
    Sample,
    All,
    Point(CrashPoint),
    /// `cargo test NAME` asks every test program for tests of that name.
    Nothing,
}

impl Arguments {
    /// Reads the arguments; those that only cargo's own tests understand are passed over.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut read = Self::default();
        while let Some(argument) = arguments.next() {
            let mut value = || {
                let next = arguments.next();
                next.ok_or_else(|| format!("{argument} needs a value"))
            };
            match argument.as_str() {
                "--all" => read.extent = Extent::All,
                "--point" => {
                    let point: Result<CrashPoint, _> = value()?.parse();
                    read.extent = Extent::Point(point.map_err(|e| e.to_string())?);
                }
                "--seed" => {
                    let seed = value()?.parse();
                    read.seed = seed.map_err(|e| format!("--seed: {e}"))?;
                }
                "--list" => read.extent = Extent::Nothing,
                name if !name.starts_with('-') && !"crash_matrix".contains(name) => {
                    read.extent = Extent::Nothing;
                }
                _ => {}
            }
        }
        Ok(read)
    }

    /// The cells to run, in order.
    pub(crate) fn cells(&self) -> Vec<Cell> {
        let every = |point: CrashPoint| {
            Victim::ALL.into_iter().flat_map(move |victim| {
                Side::ALL.map(|side| Cell {
                    point,
                    victim,
                    side,
                })
            })
        };
        match &self.extent {
            Extent::Sample => self.sample(),
            Extent::All => CrashPoint::all().flat_map(every).collect(),
            Extent::Point(point) => every(*point).collect(),
            Extent::Nothing => Vec::new(),
        }
    }

    /// Six consecutive seeds run every cell.
    fn sample(&self) -> Vec<Cell> {
        let kinds = Victim::ALL.len() * Side::ALL.len();
        let cell = |(number, point): (usize, CrashPoint)| {
            let turn = number * 5 + usize::try_from(self.seed).unwrap_or_default() % kinds;
            Cell {
                point,
                victim: Victim::ALL[turn % Victim::ALL.len()],
                side: Side::ALL[turn % kinds / Victim::ALL.len()],
            }
        };
        CrashPoint::all().enumerate().map(cell).collect()
    }
}
