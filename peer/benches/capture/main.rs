//! What sharing costs a database beside the same statements on a table that is not shared: CPU of the client's session at
//! the origin, and heap-only updates and WAL at a participant.
//!
//! `cargo bench -p dejima-peer --bench capture -- [TURNS] [alone | strategies [NAME]]`: how often each measurement is taken
//! (default 3); the medians are printed. `alone` leaves out what needs other peers; `strategies` measures strategies
//! instead, all or that of this name, says which claims hold, and fails if one does not (a turn of all takes about four
//! minutes). CPU time is what /proc says of the session's process, so waiting for other peers does not count.

mod alone;
mod measure;
mod origin;
mod participant;
mod persons;
mod strategies;

#[tokio::main]
async fn main() -> measure::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let turns = arguments.iter().find_map(|argument| argument.parse().ok());
    let turns = turns.unwrap_or(3);
    println!("a database whose peer answers at once (fsync on)");
    let mut rest = arguments
        .iter()
        .skip_while(|argument| *argument != "strategies");
    if rest.next().is_some() {
        let name = rest.find(|argument| !argument.starts_with("--"));
        return strategies::measure(turns, name.map(String::as_str)).await;
    }
    origin::measure(turns).await?;
    if arguments.iter().any(|argument| argument == "alone") {
        return Ok(());
    }
    println!("\nbooting three clusters (fsync on) and three peers");
    let world = participant::world().await?;
    origin::measure_with_peers(&world, turns).await?;
    participant::measure(&world, turns).await
}
