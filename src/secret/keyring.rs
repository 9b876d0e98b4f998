//! Secrets in the Secret Service of a session (GNOME Keyring, KWallet, KeePassXC), through the `keyring` crate.
//!
//! Each question is a short-lived process of our own program. The service may ask a person for a password, and then answers when that
//! person does; a thread that waits for it could not be ended, a process can. The crate also connects once in the life of a process and
//! keeps a failure for ever, which would leave an engine without secrets that was started before its session bus.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use keyring::{Entry, Error};

use super::{Kind, MAX_BYTES, SecretError, Zeroizing, cmd};
use crate::base::sanitise;

/// A service that must ask a person does not answer sooner than that person; nothing waits so long.
pub const LIMIT: Duration = Duration::from_secs(5);
/// The entries' `service` attribute; the name is their `username`.
const SERVICE: &str = "quarterdeck";
/// Hidden command of the program: one question to the service.
pub const COMMAND: &str = "secret-service";

/// Exit codes between the two processes.
const ABSENT: u8 = 10;
const LOCKED: u8 = 11;
const NO_SERVICE: u8 = 12;
const FAILED: u8 = 13;

/// The program that is started for a question.
#[derive(Debug, Clone)]
pub struct Helper {
    pub exe: PathBuf,
    pub limit: Duration,
}

impl Helper {
    /// Our own program.
    pub fn own() -> Self {
        // A program that was replaced while it runs keeps its old name with a mark; the new one understands the same question.
        let exe = std::env::current_exe().unwrap_or_default();
        let text = exe.to_string_lossy();
        let exe = text.strip_suffix(" (deleted)").map_or(exe.clone(), PathBuf::from);
        Self { exe, limit: LIMIT }
    }

    /// Reads the entry.
    pub fn read(&self, name: &str, entry: &str) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let out = self.ask("get", entry, None).map_err(|why| SecretError::new(name, Kind::Silent, format!("keyring:{entry} {why}")))?;
        match out.code {
            Some(0) => super::fit(name, out.value),
            Some(code) => Err(refused(name, entry, u8::try_from(code).unwrap_or(FAILED), &out.value)),
            None => Err(SecretError::new(name, Kind::Silent, format!("keyring:{entry} could not be asked: the asking process was killed"))),
        }
    }

    /// Writes the entry, in place of an older one.
    pub fn write(&self, name: &str, entry: &str, value: &[u8]) -> Result<(), SecretError> {
        let out = self.ask("set", entry, Some(value)).map_err(|why| {
            SecretError::new(
                name,
                Kind::Silent,
                format!("keyring:{entry} {why}; it may be written or not: look with `quarterdeck secret test {name}`"),
            )
        })?;
        match out.code {
            Some(0) => Ok(()),
            Some(code) => Err(refused(name, entry, u8::try_from(code).unwrap_or(FAILED), &out.value)),
            None => Err(SecretError::new(name, Kind::Silent, format!("keyring:{entry} could not be asked: the asking process was killed"))),
        }
    }

    fn ask(&self, operation: &str, entry: &str, value: Option<&[u8]>) -> Result<cmd::Answer, String> {
        let mut command = std::process::Command::new(&self.exe);
        // `--` ends the options: the name of an entry is whatever the site file says.
        command.args([COMMAND, operation, "--", entry]);
        cmd::converse(command, value, self.limit).map_err(|trouble| match trouble {
            cmd::Trouble::Missing => "cannot be asked: the program of this process is gone; start the engine again".to_owned(),
            cmd::Trouble::Other(why) => format!("cannot be asked: {why}"),
            cmd::Trouble::TimedOut => format!(
                "gave no answer within {} s: the keyring is locked and waits for its password; unlock it in that session, or use \
                 credential: or file: for an engine without one",
                self.limit.as_secs_f32()
            ),
        })
    }
}

fn refused(name: &str, entry: &str, code: u8, said: &[u8]) -> SecretError {
    let said = sanitise::cell(&String::from_utf8_lossy(said));
    let (kind, why) = match code {
        ABSENT => (Kind::Absent, format!("the Secret Service has no entry {entry}: quarterdeck secret set {name}")),
        LOCKED => (Kind::Silent, format!("keyring:{entry} is locked: unlock the keyring in the session of the engine ({said})")),
        NO_SERVICE => (
            Kind::Absent,
            format!(
                "there is no Secret Service in the engine's session ({said}): start it in a session that has one, or use credential: or file:"
            ),
        ),
        _ => (Kind::Silent, format!("keyring:{entry} cannot be read: {said}")),
    };
    SecretError::new(name, kind, why)
}

/// What the hidden command does: one question, the answer on `out`, the value to write from `input`. The exit code says how it went.
pub fn serve(operation: &str, entry: &str, input: &mut dyn Read, out: &mut dyn Write) -> u8 {
    let mut value = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    if operation == "set"
        && let Err(e) = input.take(MAX_BYTES as u64 + 1).read_to_end(&mut value)
    {
        let _ = writeln!(out, "the value did not arrive: {e}");
        return FAILED;
    }
    // What the crate says when the service is not there stands only here.
    if let Err(e) = Entry::store_status() {
        let _ = write!(out, "{}", told(e));
        return NO_SERVICE;
    }
    let done = Entry::new(SERVICE, entry).and_then(|e| match operation {
        "set" => e.set_secret(&value).map(|()| Zeroizing::new(Vec::new())),
        _ => e.get_secret().map(Zeroizing::new),
    });
    let (code, text) = match done {
        Ok(value) => {
            return match out.write_all(&value).and_then(|()| out.flush()) {
                Ok(()) => 0,
                Err(_) => FAILED,
            };
        }
        Err(Error::NoEntry) => (ABSENT, String::new()),
        Err(e @ Error::NoStorageAccess(_)) => (LOCKED, told(&e)),
        Err(Error::Ambiguous(all)) => (FAILED, format!("{} entries have this name: remove all but one", all.len())),
        Err(e) => (FAILED, told(&e)),
    };
    let _ = write!(out, "{text}");
    code
}

/// The crate's errors may carry the bytes that they could not decode; those are not said.
fn told(e: &Error) -> String {
    match e {
        Error::BadEncoding(_) => "the value is not in the expected encoding".to_owned(),
        Error::BadDataFormat(_, why) => format!("the value is not in the expected format: {why}"),
        other => other.to_string(),
    }
}
