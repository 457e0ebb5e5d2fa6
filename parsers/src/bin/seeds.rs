//! `seeds FOLDER`: writes the seeds of each target into `FOLDER/TARGET`, and prints the targets' names.

use std::io;
use std::path::PathBuf;

fn main() -> io::Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let folder = folder.ok_or_else(|| io::Error::other("say into which folder"))?;
    for target in &dejima_parsers::TARGETS {
        let corpus = folder.join(target.name);
        std::fs::create_dir_all(&corpus)?;
        for (at, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(corpus.join(format!("seed-{at}")), seed)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
