//! `-` in the place of a file, as everywhere: standard input to read, standard output to write.

use std::io::Read;
use std::path::Path;

use super::failure::{Failure, Outcome};
use super::out::Out;

/// Whether this is no file but a stream.
pub fn is(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// Standard input to its end, or to the first byte beyond `most`: whoever reads says the limit.
pub fn read(most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Before anything is asked for: an archive is nothing to look at, and there is one standard output.
pub fn may_write(out: &Out) -> Outcome {
    if out.json {
        return Err(Failure::bad("--json and the file would both go to standard output", "leave one of them out: -o FILE, or no --json"));
    }
    if out.terminal {
        return Err(Failure::bad("the file is no text for a terminal", "name a file, or lead standard output into one: > FILE"));
    }
    Ok(())
}
