//! Who calls: a connection on the loopback interface belongs to a process, and a peer's command line names it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

/// The name of the peer that has made a connection; `None` if another program has, or if it is gone.
pub(crate) fn calling_peer(accepted: &TcpStream) -> Option<String> {
    let (theirs, ours) = (accepted.peer_addr().ok()?, accepted.local_addr().ok()?);
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let socket = format!("socket:[{}]", inode(&table, theirs, ours)?);
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|process| Some((peer_of(&process.path())?, process.path())))
        .find(|(_, process)| holds(process, &socket))
        .map(|(peer, _)| peer)
}

/// The inode of the socket with these ends, from the text of /proc/net/tcp: the second and third words of a line are
/// the ends, in hexadecimal with the lowest byte first, the tenth is the inode (Linux, Documentation/networking/proc_net_tcp).
fn inode(table: &str, local: SocketAddr, remote: SocketAddr) -> Option<&str> {
    let (local, remote) = (in_table(local)?, in_table(remote)?);
    table.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.get(1) == Some(&local.as_str()) && words.get(2) == Some(&remote.as_str());
        if is_it { words.get(9).copied() } else { None }
    })
}

fn in_table(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else {
        return None;
    };
    let ip = u32::from_ne_bytes(address.ip().octets());
    Some(format!("{ip:08X}:{:04X}", address.port()))
}

/// The name in `dejima-peer --config FOLDER/NAME.toml`.
fn peer_of(process: &Path) -> Option<String> {
    let line = fs::read_to_string(process.join("cmdline")).ok()?;
    let mut arguments = line.split('\0');
    let program = Path::new(arguments.next()?);
    if program.file_name()? != "dejima-peer" {
        return None;
    }
    let configuration = arguments
        .skip_while(|argument| *argument != "--config")
        .nth(1)?;
    let name = Path::new(configuration).file_stem()?;
    Some(name.to_str()?.to_owned())
}

fn holds(process: &Path, socket: &str) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten();
    files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .any(|target| target == Path::new(socket))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_lists_the_other_end_of_a_connection() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let calling = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let table = fs::read_to_string("/proc/net/tcp").unwrap();
        let (theirs, ours) = (
            accepted.peer_addr().unwrap(),
            accepted.local_addr().unwrap(),
        );
        let socket = format!("socket:[{}]", inode(&table, theirs, ours).unwrap());
        assert!(holds(Path::new("/proc/self"), &socket), "{socket}");
        drop(calling);
        assert!(!holds(Path::new("/proc/self"), &socket), "{socket}");
        assert_eq!(calling_peer(&accepted), None, "this test is no peer");
    }
}
