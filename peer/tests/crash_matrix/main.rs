//! Whatever dies, at whatever named crash point: nothing stays in doubt, all copies agree, and every client was told
//! the truth (invariants 1, 2 and 4).
//!
//!     crash_matrix [--all | --point NAME] [--seed N]
//!
//! For each crash point, each victim (peer, database, helper) and each side (the organisation at the point, the
//! other side): under load from 8 clients the point is armed; when somebody stands there, the victim is killed with
//! SIGKILL and everybody else let go; the victim is started again, and the load ends. 10 s after the start of the victim
//! nothing may be in doubt. `--all` runs every cell, a point's name the cells of that point; without either each
//! point runs once. The exit status is 1 if a cell failed.

mod arguments;
mod bed;
mod cell;
mod matrix;
mod rest;

use std::process::ExitCode;

use arguments::Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(why) => {
            eprintln!("crash_matrix: {why}");
            return ExitCode::from(2);
        }
    };
    if matrix::run(arguments.cells(), arguments.seed).await {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
