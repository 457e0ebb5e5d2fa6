//! Helpers: short-lived programs that databases start, and that tests kill.

use rustix::process::Signal;

use crate::child;
use crate::world::World;

impl World {
    /// SIGKILL to every helper that is at work for an organisation now, or to one of them; how many there were.
    pub fn kill_helpers(&self, name: &str, only: Option<u32>) -> usize {
        let address = self.local_address(name);
        let mut helpers = child::running(|words| {
            words[0].contains("dejima-callback") && words.get(1) == Some(&address)
        });
        helpers.retain(|helper| only.is_none_or(|only| only == *helper));
        for helper in &helpers {
            child::send(*helper, Signal::KILL);
        }
        helpers.len()
    }
}
