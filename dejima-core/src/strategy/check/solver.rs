//! Who answers questions in SMT-LIB.

/// What a solver says to a script that ends with `(check-sat)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// There is no such state.
    Unsatisfiable,
    /// There is one.
    Satisfiable,
    /// It could not be found out, and why.
    Unknown(String),
}

/// A solver.
pub trait Solver {
    /// Answers one script; nothing of an earlier one matters.
    fn solve(&mut self, script: &str) -> Answer;
}

#[cfg(feature = "solver")]
pub use process::{Missing, Z3};

#[cfg(feature = "solver")]
mod process {
    use std::io::{BufRead, BufReader, Write};
    use std::process::{Child, ChildStdin, Command, Stdio};
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    use super::{Answer, Solver};

    /// z3 cannot be run.
    #[derive(Debug, thiserror::Error)]
    #[error(
        "the solver z3 cannot be started: {0}; install it (on Debian or Ubuntu: apt-get install z3)"
    )]
    pub struct Missing(std::io::Error);

    /// The program z3, kept running between questions; started again when it does not answer.
    #[derive(Debug)]
    pub struct Z3 {
        timeout: Duration,
        running: Option<Running>,
    }

    #[derive(Debug)]
    struct Running {
        child: Child,
        input: ChildStdin,
        lines: Receiver<String>,
    }

    /// Beyond z3's own timeout, after which it should have answered.
    const GRACE: Duration = Duration::from_secs(2);

    impl Z3 {
        /// Starts z3, which must be in PATH; each question gets this much time.
        pub fn start(timeout: Duration) -> Result<Self, Missing> {
            let running = Some(Running::start()?);
            Ok(Self { timeout, running })
        }

        fn ask(&mut self, script: &str) -> Result<Answer, String> {
            let running = match self.running.take() {
                Some(running) => running,
                None => Running::start().map_err(|missing| missing.to_string())?,
            };
            let mut running = running;
            let limit = self.timeout.as_millis();
            let answer = running.ask(
                &format!("(reset)\n(set-option :timeout {limit})\n{script}"),
                self.timeout + GRACE,
            )?;
            self.running = Some(running);
            match answer.as_str() {
                "unsat" => Ok(Answer::Unsatisfiable),
                "sat" => Ok(Answer::Satisfiable),
                "unknown" => Err("z3 could not decide it in time".to_owned()),
                other => {
                    self.running = None;
                    Err(format!("z3 said: {other}"))
                }
            }
        }
    }

    impl Solver for Z3 {
        fn solve(&mut self, script: &str) -> Answer {
            self.ask(script).unwrap_or_else(Answer::Unknown)
        }
    }

    impl Running {
        fn start() -> Result<Self, Missing> {
            let mut child = Command::new("z3")
                .args(["-in", "-smt2"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .map_err(Missing)?;
            let gone = || Missing(std::io::Error::other("it has no input or output"));
            let input = child.stdin.take().ok_or_else(gone)?;
            let output = child.stdout.take().ok_or_else(gone)?;
            let (sender, lines) = channel();
            // Ends when z3 ends or nobody listens any more.
            std::thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        return;
                    }
                }
            });
            Ok(Self {
                child,
                input,
                lines,
            })
        }

        fn ask(&mut self, script: &str, limit: Duration) -> Result<String, String> {
            let said = |error: std::io::Error| format!("z3 has gone: {error}");
            self.input.write_all(script.as_bytes()).map_err(said)?;
            self.input.flush().map_err(said)?;
            let answer = self.lines.recv_timeout(limit);
            answer.map_err(|_| "z3 did not answer in time".to_owned())
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            // It may have ended already; then there is nothing to end.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
