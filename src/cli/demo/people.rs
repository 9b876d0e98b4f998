//! Who is who for the engine of a demo: the machine's users, and the demo's own people where a process of the owner says that it is one.

use std::path::Path;

use crate::demo::people::{self, live_in};
use crate::engine::identity::{Machine, Peer, People};

/// The machine, and the people of the demo.
#[derive(Debug, Default)]
pub struct Known {
    machine: Machine,
}

/// Of the engine of this state directory; a shared one never knows more than the machine does.
pub fn of(state: &Path, shared: bool) -> std::sync::Arc<dyn People> {
    if !shared && live_in(state) { std::sync::Arc::new(Known::default()) } else { std::sync::Arc::new(Machine::default()) }
}

impl Known {
    /// The name of the user whose demo it is. A container may have none for it.
    pub fn owner(&self, uid: u32) -> String {
        self.machine.user(uid).unwrap_or_else(|| format!("uid {uid}"))
    }
}

impl People for Known {
    /// Who owns the demo is somebody, also as root in a container, where nobody ever logs in.
    fn login_uid(&self, pid: i32, uid: u32) -> Option<u32> {
        self.machine.login_uid(pid, uid).or(Some(uid))
    }

    fn group(&self, name: &str) -> Option<u32> {
        self.machine.group(name)
    }

    fn user(&self, uid: u32) -> Option<String> {
        let own = people::ALL.iter().find(|p| p.uid == uid);
        Some(own.map_or_else(|| self.owner(uid), |p| p.name.to_owned()))
    }

    fn groups(&self, user: &str, gid: u32) -> Vec<String> {
        if people::named(user).is_some() { Vec::new() } else { self.machine.groups(user, gid) }
    }

    fn peer(&self, kernel: Peer) -> Peer {
        let person = kernel.pid.and_then(|pid| people::who(&self.machine.root.join("proc"), pid));
        match person {
            Some(p) => Peer { uid: p.uid, login_uid: Some(p.uid), ..kernel },
            None => Peer { login_uid: kernel.pid.and_then(|pid| self.login_uid(pid, kernel.uid)).or(Some(kernel.uid)), ..kernel },
        }
    }

    fn several(&self) -> bool {
        true
    }
}
