//! Ports that are ours for as long as the server lives, also while it is down between a kill and a
//! restart.
//!
//! A port that is merely found free may be taken by another test's server a moment later, so each
//! is held by a lock on a file of its number; the operating system gives the lock back when the
//! process ends. Drawn below the range from which the system itself takes ports for outgoing
//! connections.

use std::{
    collections::hash_map::RandomState,
    fs::{File, OpenOptions},
    hash::{BuildHasher, Hasher},
    net::{Ipv4Addr, SocketAddr, TcpListener},
};

use crate::{Error, install};

/// Ports are drawn from here: above the well-known, below those of outgoing connections.
const FIRST: u16 = 15_000;
const COUNT: u16 = 16_000;
/// So many are tried before the search is given up.
const TRIES_MAX: u32 = 1_000;

/// A port of loopback that no other server of ours gets.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Draws one that is free.
    pub(crate) fn take() -> Result<Self, Error> {
        let folder = install::cache_folder("ports")?;
        for _ in 0..TRIES_MAX {
            let number = FIRST + draw();
            let path = folder.join(number.to_string());
            let mut open = OpenOptions::new();
            let lock = open.create(true).append(true).open(&path);
            let lock = lock.map_err(Error::io(format!("opening {}", path.display())))?;
            if lock.try_lock().is_ok() && is_free(number) {
                return Ok(Self { number, _lock: lock });
            }
        }
        let error = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        Err(Error::Io { doing: "looking for a free port".to_owned(), source: error })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}

fn is_free(number: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok()
}

/// A number below `COUNT`, different in each process.
fn draw() -> u16 {
    let random = RandomState::new().build_hasher().finish();
    u16::try_from(random % u64::from(COUNT)).expect("it is below COUNT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_held_is_not_given_out_again() {
        let held: Vec<Port> = (0..50).map(|_| Port::take().unwrap()).collect();
        let mut numbers: Vec<u16> = held.iter().map(Port::number).collect();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), held.len());
        let first = held.first().unwrap();
        let lock = install::cache_folder("ports").unwrap().join(first.number().to_string());
        assert!(File::open(lock).unwrap().try_lock().is_err());
    }
}
