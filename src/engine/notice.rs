//! Tells a service manager that clients are served, and that the end has begun: the protocol of `Type=notify`, one datagram a fact.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The variable that names the manager's socket. It is the engine's own: no step and no other engine inherits it.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// Sends one fact to whoever started the engine and waits for it; where nobody does, nothing happens. A manager that is gone or slow must
/// not hold the engine up: what cannot be sent is left out.
pub fn tell(to: Option<&OsStr>, fact: &str) {
    let Some(to) = to.filter(|t| !t.is_empty()) else { return };
    if let Err(e) = send(to, fact) {
        tracing::warn!("the service manager was not told {fact}: {e}");
    }
}

fn send(to: &OsStr, fact: &str) -> std::io::Result<()> {
    let address = match to.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(to)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    socket.send_to_addr(fact.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_reaches_a_socket_in_a_directory_and_one_without_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        let mut room = [0; 64];
        tell(Some(path.as_os_str()), "READY=1");
        let n = listener.recv(&mut room).unwrap();
        assert_eq!(&room[..n], b"READY=1");
        let name = format!("quarterdeck-test-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        tell(Some(OsStr::new(&format!("@{name}"))), "STOPPING=1");
        let n = listener.recv(&mut room).unwrap();
        assert_eq!(&room[..n], b"STOPPING=1");
        // Nobody there, no name, no socket: nothing to wait for.
        tell(None, "READY=1");
        tell(Some(OsStr::new("")), "READY=1");
        tell(Some(dir.path().join("none").as_os_str()), "READY=1");
    }
}
