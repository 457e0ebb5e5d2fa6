//! A wire between peers that can be cut, and can remember every byte: what an organisation could have seen, had it
//! looked.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::caller::calling_peer;
use crate::cuts::Cuts;
use crate::error::{self, Error};

/// Carries connections to one peer. It works until the process ends.
#[derive(Clone, Debug)]
pub struct Wire {
    address: SocketAddr,
    /// The peer.
    to: String,
    cuts: Cuts,
    carried: Option<Arc<Mutex<Vec<u8>>>>,
}

impl Wire {
    /// Listens on a free port of the loopback interface and carries every connection on to peer `to` at `target`,
    /// but for what is cut.
    pub(crate) fn start(
        to: &str,
        target: &str,
        cuts: &Cuts,
        remembers: bool,
    ) -> Result<Self, Error> {
        let listener =
            TcpListener::bind("127.0.0.1:0").map_err(error::io("listening for a wire"))?;
        let address = listener
            .local_addr()
            .map_err(error::io("listening for a wire"))?;
        let wire = Self {
            address,
            to: to.to_owned(),
            cuts: cuts.clone(),
            carried: remembers.then(Arc::default),
        };
        let (carrying, target) = (wire.clone(), target.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let (carrying, target) = (carrying.clone(), target.clone());
                thread::spawn(move || carrying.connect(&near, &target));
            }
        });
        Ok(wire)
    }

    /// Where to connect, as `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// True if it can be asked what it has carried.
    pub(crate) fn remembers(&self) -> bool {
        self.carried.is_some()
    }

    /// True if these bytes were among those carried, in either direction.
    pub fn has_carried(&self, bytes: &[u8]) -> bool {
        self.carried.as_ref().is_some_and(|carried| {
            let carried = carried.lock().unwrap_or_else(PoisonError::into_inner);
            carried.windows(bytes.len()).any(|window| window == bytes)
        })
    }

    fn connect(&self, near: &TcpStream, target: &str) {
        // Another program than a peer is cut off from nobody.
        let caller = calling_peer(near).unwrap_or_default();
        // To connect takes packets in both directions.
        self.cuts.wait_until_whole(&caller, &self.to);
        self.cuts.wait_until_whole(&self.to, &caller);
        // A peer that is not up refuses here as it would without the wire: the connection ends.
        let Ok(far) = TcpStream::connect(target) else {
            return;
        };
        self.carry_between(near, &far, &caller, &self.to);
        self.carry_between(&far, near, &self.to, &caller);
    }

    /// Carries one direction, in a thread of its own.
    fn carry_between(&self, from: &TcpStream, to: &TcpStream, sender: &str, receiver: &str) {
        let (Ok(from), Ok(to)) = (from.try_clone(), to.try_clone()) else {
            return;
        };
        let wire = self.clone();
        let (sender, receiver) = (sender.to_owned(), receiver.to_owned());
        thread::spawn(move || wire.carry(from, to, &sender, &receiver));
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream, sender: &str, receiver: &str) {
        let mut buffer = vec![0; 65_536];
        // Latency is part of what peers see of each other; a wire must not add Nagle's.
        drop(to.set_nodelay(true));
        loop {
            let read = from.read(&mut buffer);
            // The end of a connection is a packet too.
            self.cuts.wait_until_whole(sender, receiver);
            let Ok(length @ 1..) = read else { break };
            self.remember(&buffer[..length]);
            if to.write_all(&buffer[..length]).is_err() {
                // What says that the receiver is gone is a packet of the receiver's.
                self.cuts.wait_until_whole(receiver, sender);
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
        drop(from.shutdown(Shutdown::Both));
    }

    fn remember(&self, bytes: &[u8]) {
        if let Some(carried) = &self.carried {
            let mut carried = carried.lock().unwrap_or_else(PoisonError::into_inner);
            carried.extend_from_slice(bytes);
        }
    }
}
