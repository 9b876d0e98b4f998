//! Who asked for something: a person on the other end of a socket, or the engine itself with its cause.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The author of a change. `name` is what people read; the ids prove it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Login name, or `schedule`, `upstream`, `engine`.
    pub name: String,
    /// Uid of the peer; none for the engine's own acts.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Login uid of the peer (`/proc/PID/loginuid`), where it has one.
    #[serde(default)]
    pub login_uid: Option<u32>,
}

impl Actor {
    /// The engine acting by itself: a trigger, a recovery, a limit.
    pub fn engine(name: &str) -> Self {
        Self { name: name.to_owned(), uid: None, login_uid: None }
    }

    /// A person, as the socket's peer credentials name them.
    pub fn person(name: impl Into<String>, uid: u32, login_uid: Option<u32>) -> Self {
        Self { name: name.into(), uid: Some(uid), login_uid }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
