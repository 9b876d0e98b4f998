//! What every integration test needs: a home of its own, the binary, bounded waits, honest skips. Owns no assertion about the product.
//!
//! Three test programs include this folder by path (`it`, `chaos`, the benches), and none of them uses all of it.
#![allow(dead_code, unused_imports)]

pub mod fuse;
pub mod history;
pub mod home;
pub mod http;
pub mod idle;
pub mod process;
pub mod pty;
pub mod skip;
pub mod wait;

pub use fuse::Fuse;
pub use home::{Home, Out};
pub use process::{Foreground, alive, kill, processes_with};
pub use pty::Pty;
pub use skip::{have_program, skip};
pub use wait::{until, until_some};

/// A TCP port on loopback that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("no port on loopback");
    listener.local_addr().expect("a bound socket has an address").port()
}
