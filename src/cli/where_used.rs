//! `where-used FILE|SHA256`: the runs that made, used, read or left it. A file is hashed here; only its digest is asked about.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::args::{Cut, Get};
use super::failure::{Failure, Outcome};
use super::out::Out;
use super::{Ctx, connect, dash, rows};
use crate::api::client::encode;
use crate::api::types::Rows;
use crate::base::sanitise;

pub fn run(ctx: &Ctx, out: &mut Out, what: &str) -> Outcome {
    let sha256 = match Path::new(what) {
        path if dash::is(path) => digest(std::io::stdin().lock())
            .map_err(|e| Failure::bad(format!("standard input cannot be read: {e}"), "give a file, or its sha256"))?,
        path if path.exists() => open(path)
            .and_then(digest)
            .map_err(|e| Failure::bad(format!("{what} cannot be read: {e}"), "give a file that you may read, or its sha256"))?,
        _ if what.len() == 64 && what.bytes().all(|b| b.is_ascii_hexdigit()) => what.to_ascii_lowercase(),
        _ => {
            return Err(Failure::bad(
                format!("`{what}` is neither a file here nor a sha256"),
                "give a path, or all 64 digits: quarterdeck --json get fingerprints shows them",
            ));
        }
    };
    let get =
        Get { what: "fingerprints".into(), name: None, view: None, cut: Cut { filter: format!("sha256={sha256}"), ..Cut::default() } };
    let site = ctx.site_to_look(out)?;
    let path = format!("/v1/get/fingerprints?filter={}", encode(&get.cut.filter));
    let found: Rows = connect::block_on(async { connect::read(ctx, &site, &path).await })?;
    if out.json {
        out.value(&found);
    } else if found.rows.is_empty() {
        out.line(format!("no run that is kept made, used, read or left {}", sanitise::cell(what)));
    } else {
        rows::show(out, &get, &found);
    }
    Ok(())
}

fn open(path: &Path) -> std::io::Result<File> {
    // Before it is opened: a pipe would hold us there.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is no regular file"));
    }
    File::open(path)
}

fn digest(mut from: impl Read) -> std::io::Result<String> {
    let (mut hash, mut buffer) = (Sha256::new(), vec![0u8; 1 << 16]);
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect()),
            n => hash.update(&buffer[..n]),
        }
    }
}
