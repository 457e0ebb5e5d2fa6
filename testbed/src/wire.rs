//! A wire between peers that remembers every byte: what an organisation could have seen, had it looked.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::error::{self, Error};

/// Carries connections to one peer. It works until the process ends.
#[derive(Clone, Debug)]
pub struct Wire {
    address: SocketAddr,
    carried: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    /// Listens on a free port of the loopback interface and carries every connection on to `target`.
    pub fn start(target: &str) -> Result<Self, Error> {
        let listener =
            TcpListener::bind("127.0.0.1:0").map_err(error::io("listening for a wire"))?;
        let address = listener
            .local_addr()
            .map_err(error::io("listening for a wire"))?;
        let wire = Self {
            address,
            carried: Arc::default(),
        };
        let (carrying, target) = (wire.clone(), target.to_owned());
        thread::spawn(move || {
            for near in listener.incoming().flatten() {
                // A peer that is not up refuses here as it would without the wire: the connection ends.
                if let Ok(far) = TcpStream::connect(&target) {
                    carrying.carry_both(&near, &far);
                }
            }
        });
        Ok(wire)
    }

    /// Where to connect, as `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// True if these bytes were among those carried, in either direction.
    pub fn has_carried(&self, bytes: &[u8]) -> bool {
        let carried = self.carried.lock().unwrap_or_else(PoisonError::into_inner);
        carried.windows(bytes.len()).any(|window| window == bytes)
    }

    fn carry_both(&self, near: &TcpStream, far: &TcpStream) {
        let ends = [
            (near.try_clone(), far.try_clone()),
            (far.try_clone(), near.try_clone()),
        ];
        for (from, to) in ends {
            let (Ok(from), Ok(to)) = (from, to) else {
                return;
            };
            let wire = self.clone();
            thread::spawn(move || wire.carry(from, to));
        }
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 65_536];
        // Latency is part of what peers see of each other; a wire must not add Nagle's.
        drop(to.set_nodelay(true));
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            self.carried
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(&buffer[..length]);
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        drop(to.shutdown(Shutdown::Both));
        drop(from.shutdown(Shutdown::Both));
    }
}
