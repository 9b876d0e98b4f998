//! Last values in the kernel's memory, for a bounded time: never swapped, in no core dump, gone with the process.
//!
//! The keyring is the process's own. The session's or the user's would be inherited by every step, which could then read secrets that it
//! does not declare. The kernel gives a process keyring to a thread when it first asks, so one thread does all the asking.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use linux_keyutils::{Key, KeyPermissions, KeyRing, KeyRingIdentifier, Permission};

use super::{MAX_BYTES, Zeroizing};

/// Keeps last values for a while.
pub trait Cache: Send + Sync {
    /// Keeps the value for `time`, in place of an older one. False: it could not be kept.
    fn keep(&self, name: &str, value: &[u8], time: Duration) -> bool;
    /// The value, unless its time is over.
    fn get(&self, name: &str) -> Option<Zeroizing<Vec<u8>>>;
    fn forget(&self, name: &str);
}

/// Questions that wait at once; the thread answers each with a few system calls.
const WAITING: usize = 64;
/// System calls do not hang; a thread that was stopped by a debugger does.
const PATIENCE: Duration = Duration::from_secs(2);

enum Ask {
    Keep(String, Zeroizing<Vec<u8>>, Duration, SyncSender<bool>),
    Get(String, SyncSender<Option<Zeroizing<Vec<u8>>>>),
    Forget(String, SyncSender<()>),
}

/// The keyring of this process.
pub struct KernelCache {
    asks: SyncSender<Ask>,
}

impl KernelCache {
    /// None where the kernel or a sandbox does not let us: found out by a real write, since opening a keyring always succeeds.
    pub fn start() -> Option<Self> {
        let (asks, inbox) = sync_channel(WAITING);
        std::thread::Builder::new().name("secret-cache".into()).stack_size(256 << 10).spawn(move || serve(&inbox)).ok()?;
        let cache = Self { asks };
        let probe = "probe";
        let works = cache.keep(probe, b"probe", Duration::from_secs(60)) && cache.get(probe).is_some_and(|v| v.as_slice() == b"probe");
        cache.forget(probe);
        works.then_some(cache)
    }

    fn ask<T>(&self, make: impl FnOnce(SyncSender<T>) -> Ask) -> Option<T> {
        let (tell, told) = sync_channel(1);
        self.asks.try_send(make(tell)).ok()?;
        told.recv_timeout(PATIENCE).ok()
    }
}

impl Cache for KernelCache {
    fn keep(&self, name: &str, value: &[u8], time: Duration) -> bool {
        let value = Zeroizing::new(value.to_vec());
        self.ask(|tell| Ask::Keep(name.to_owned(), value, time, tell)).unwrap_or(false)
    }

    fn get(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        self.ask(|tell| Ask::Get(name.to_owned(), tell)).flatten()
    }

    fn forget(&self, name: &str) {
        let _ = self.ask(|tell| Ask::Forget(name.to_owned(), tell));
    }
}

fn serve(inbox: &Receiver<Ask>) {
    while let Ok(ask) = inbox.recv() {
        match ask {
            Ask::Keep(name, value, time, tell) => drop(tell.send(keep(&name, &value, time).is_some())),
            Ask::Get(name, tell) => drop(tell.send(get(&name))),
            Ask::Forget(name, tell) => {
                if let Some(key) = find(&name) {
                    let _ = key.invalidate();
                }
                let _ = tell.send(());
            }
        }
    }
}

fn ring() -> Option<KeyRing> {
    KeyRing::from_special_id(KeyRingIdentifier::Process, true).ok()
}

fn find(name: &str) -> Option<Key> {
    ring()?.search(&described(name)).ok()
}

fn described(name: &str) -> String {
    format!("quarterdeck:{name}")
}

/// A key without its time is not left behind: it would stay as long as the process.
fn keep(name: &str, value: &[u8], time: Duration) -> Option<()> {
    let key = ring()?.add_key(&described(name), value).ok()?;
    let seconds = usize::try_from(time.as_secs().max(1)).ok()?;
    // By default every process of our uid sees its description in /proc/keys.
    let mut only_possessor = KeyPermissions::new();
    only_possessor.set_posessor_perms(Permission::ALL);
    if key.set_timeout(seconds).is_err() || key.set_perms(only_possessor).is_err() {
        let _ = key.invalidate();
        return None;
    }
    Some(())
}

fn get(name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut room = Zeroizing::new(vec![0u8; MAX_BYTES]);
    let n = find(name)?.read(&mut *room).ok()?;
    room.get(..n).map(|v| Zeroizing::new(v.to_vec()))
}
