//! The smallest script that still differs: delta debugging (Zeller, Hildebrandt: Simplifying and Isolating
//! Failure-Inducing Input, 2002) over transactions, then over statements, then inside of statements.

use crate::Result;
use crate::bed::{Bed, Tally};
use crate::difference::Difference;
use crate::script::{Script, Step};

/// Each run costs some tenths of a second at most.
const RUNS_MAX: usize = 300;

/// A script that differs, and how.
pub(crate) struct Shrunk {
    pub(crate) script: Script,
    pub(crate) difference: Difference,
    /// How many scripts were run.
    pub(crate) runs: usize,
}

impl Shrunk {
    /// The script as it was found.
    pub(crate) fn new(script: Script, difference: Difference) -> Self {
        Self {
            script,
            difference,
            runs: 0,
        }
    }

    /// Takes away what it can.
    pub(crate) async fn shrink(&mut self, bed: &mut Bed) -> Result<()> {
        loop {
            let before = self.script.clone();
            self.thin(
                bed,
                |script| script.transactions.len(),
                without_transactions,
            )
            .await?;
            self.thin(bed, steps_in, without_steps).await?;
            self.simplify(bed).await?;
            if self.script == before || self.runs >= RUNS_MAX {
                return Ok(());
            }
        }
    }

    /// Leaves out parts: halves first, then ever smaller ones, down to each alone.
    async fn thin(
        &mut self,
        bed: &mut Bed,
        parts: fn(&Script) -> usize,
        without: fn(&Script, usize, usize) -> Script,
    ) -> Result<()> {
        let mut size = parts(&self.script).div_ceil(2);
        while size > 0 {
            let mut at = 0;
            while at < parts(&self.script) {
                let smaller = without(&self.script, at, at + size);
                if !self.accepts(bed, smaller).await? {
                    at += size;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
        Ok(())
    }

    /// Takes one thing after the other away from what is left.
    async fn simplify(&mut self, bed: &mut Bed) -> Result<()> {
        'again: loop {
            for smaller in self.script.smaller() {
                if self.accepts(bed, smaller).await? {
                    continue 'again;
                }
            }
            return Ok(());
        }
    }

    /// Runs it; if it still differs, it is what is left.
    async fn accepts(&mut self, bed: &mut Bed, script: Script) -> Result<bool> {
        if script == self.script || self.runs >= RUNS_MAX {
            return Ok(false);
        }
        self.runs += 1;
        let found = bed.run(&script, &mut Tally::default()).await?;
        let Some(difference) = found.filter(|found| found.is_like(&self.difference)) else {
            return Ok(false);
        };
        (self.script, self.difference) = (script, difference);
        Ok(true)
    }
}

fn without_transactions(script: &Script, from: usize, to: usize) -> Script {
    let mut rest = script.clone();
    let to = to.min(rest.transactions.len());
    rest.transactions.drain(from..to);
    rest
}

/// Savepoints count as steps: to leave one out leaves out all that follows it.
fn steps_in(script: &Script) -> usize {
    script
        .transactions
        .iter()
        .map(|transaction| count(&transaction.steps))
        .sum()
}

fn count(steps: &[Step]) -> usize {
    let one = |step: &Step| match step {
        Step::Run(_) => 1,
        Step::Savepoint { steps, .. } => 1 + count(steps),
    };
    steps.iter().map(one).sum()
}

fn without_steps(script: &Script, from: usize, to: usize) -> Script {
    let mut rest = script.clone();
    let mut at = 0;
    for transaction in &mut rest.transactions {
        retain(&mut transaction.steps, &mut at, from..to);
    }
    rest.transactions
        .retain(|transaction| !transaction.steps.is_empty());
    rest
}

fn retain(steps: &mut Vec<Step>, at: &mut usize, gone: std::ops::Range<usize>) {
    steps.retain_mut(|step| {
        let here = *at;
        *at += 1;
        if let Step::Savepoint { steps, .. } = step {
            if gone.contains(&here) {
                *at += count(steps);
                return false;
            }
            retain(steps, at, gone.clone());
            return !steps.is_empty();
        }
        !gone.contains(&here)
    });
}
