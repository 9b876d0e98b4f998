//! Reading a secret from a person or a pipe: no echo, no argument, nothing kept but the value.

use std::fs::File;
use std::io::{IsTerminal, Read, Write};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::failure::Failure;
use crate::secret::MAX_BYTES;

/// The whole of standard input without one line ending at its end, or one line typed at the terminal.
pub fn secret(question: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    if std::io::stdin().is_terminal() {
        return typed(question);
    }
    let mut value = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 3));
    let read = std::io::stdin().lock().take(MAX_BYTES as u64 + 3).read_to_end(&mut value);
    read.map_err(|e| Failure::bad(format!("standard input cannot be read: {e}"), ""))?;
    if value.last() == Some(&b'\n') {
        value.pop();
        if value.last() == Some(&b'\r') {
            value.pop();
        }
    }
    Ok(value)
}

/// Puts the terminal back as it was, however the question ends.
struct Quiet<'a> {
    tty: &'a File,
    before: Termios,
}

impl<'a> Quiet<'a> {
    fn new(tty: &'a File) -> rustix::io::Result<Self> {
        let before = tcgetattr(tty)?;
        let mut now = before.clone();
        // Signals off too: an interrupt that ended us here would leave the terminal without echo. ^C is read as a sign instead.
        now.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
        now.special_codes[SpecialCodeIndex::VMIN] = 1;
        now.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(tty, OptionalActions::Flush, &now)?;
        Ok(Self { tty, before })
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.tty, OptionalActions::Flush, &self.before);
    }
}

fn typed(question: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let fail = |e: &dyn std::fmt::Display| Failure::bad(format!("the terminal cannot be used: {e}"), "give the value on standard input");
    let mut tty = File::options().read(true).write(true).open("/dev/tty").map_err(|e| fail(&e))?;
    let mut to = tty.try_clone().map_err(|e| fail(&e))?;
    let mut say = |text: &str| to.write_all(text.as_bytes()).and_then(|()| to.flush()).map_err(|e| fail(&e));
    let held = tty.try_clone().map_err(|e| fail(&e))?;
    let quiet = Quiet::new(&held).map_err(|e| fail(&e))?;
    say(question)?;
    let line = line(&mut tty);
    drop(quiet);
    say("\n")?;
    match line {
        Ok(Some(value)) => Ok(value),
        Ok(None) => Err(Failure { exit: 5, ..Failure::bad("cancelled: nothing was written", "") }),
        Err(e) => Err(fail(&e)),
    }
}

/// One line, byte by byte, as a terminal without its own line editing gives it. None = cancelled.
fn line(from: &mut dyn Read) -> std::io::Result<Option<Zeroizing<Vec<u8>>>> {
    const ERASE: [u8; 2] = [0x7f, 0x08];
    let mut value = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    let mut byte = [0u8; 1];
    loop {
        match from.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        }
        match byte[0] {
            b'\n' | b'\r' => return Ok(Some(value)),
            // ^C, ^\\
            0x03 | 0x1c => return Ok(None),
            // ^D: the end where nothing was typed.
            0x04 => return Ok(if value.is_empty() { None } else { Some(value) }),
            // ^U
            0x15 => value.clear(),
            b if ERASE.contains(&b) => {
                // A whole character, not its last byte.
                while value.pop().is_some_and(|b| b & 0xc0 == 0x80) {}
            }
            b if value.len() <= MAX_BYTES => value.push(b),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_line_can_be_corrected_and_cancelled() {
        let typed = |keys: &[u8]| line(&mut &keys[..]).unwrap().map(|v| v.to_vec());
        assert_eq!(typed(b"hunter2\rmore").unwrap(), b"hunter2");
        assert_eq!(typed("hü\x7funter\n".as_bytes()).unwrap(), b"hunter");
        assert_eq!(typed(b"wrong\x15right\x04").unwrap(), b"right");
        for keys in [&b"hunt\x03"[..], b"\x04", b"hunter", b""] {
            assert_eq!(typed(keys), None);
        }
    }
}
