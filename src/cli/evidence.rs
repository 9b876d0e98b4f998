//! `evidence PROMOTION`: fetches the archive from the engine and writes it, whole or not at all, to a file that does not exist yet, or to standard output.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::connect::{self, Start};
use super::failure::{Failure, Outcome};
use super::out::Out;
use super::{Ctx, dash};
use crate::api::ApiError;
use crate::api::client::{ANSWER, encode};
use crate::domain::promotion;

pub fn run(ctx: &Ctx, out: &mut Out, id: &str, file: Option<PathBuf>) -> Outcome {
    if !promotion::is_name(id) {
        return Err(Failure::bad(format!("`{id}` is no promotion"), "quarterdeck get promotions lists them"));
    }
    let file = file.unwrap_or_else(|| PathBuf::from(format!("evidence-{id}.tar.gz")));
    let there = |file: &PathBuf| {
        Failure::from(ApiError::refused(format!("{} exists, and nothing was written", file.display()), "give another name: -o FILE"))
    };
    let stream = dash::is(&file);
    if stream {
        dash::may_write(out)?;
    } else if file.symlink_metadata().is_ok() {
        return Err(there(&file));
    }
    let site = ctx.site_to_look(out)?;
    let bytes = connect::block_on(async {
        let mut client = connect::connect(ctx, &site, Start::OnDemand).await?;
        client.bytes(&format!("/v1/promotions/{}/evidence", encode(id)), ANSWER).await.map_err(|e| Failure::from(ApiError::from(e)))
    })?;
    if stream {
        out.raw(&bytes);
        return Ok(());
    }
    create(&file, &bytes).map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => there(&file),
        kind => {
            let (message, help) = (format!("{} cannot be written: {e}", file.display()), "give another place: -o FILE");
            let theirs = matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory);
            if theirs { Failure::bad(message, help) } else { ApiError::failed(message, help).into() }
        }
    })?;
    if out.json {
        out.value(&serde_json::json!({"promotion": id, "file": file, "size_bytes": bytes.len()}));
    } else {
        out.line(format!("{}: tar xzf it, then sha256sum -c SHA256SUMS; its README.txt says the rest", file.display()));
    }
    Ok(())
}

/// It holds names and decisions: only its owner reads it.
fn create(file: &std::path::Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut to = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    let written = to.write_all(bytes).and_then(|()| to.sync_all());
    if written.is_err() {
        let _ = std::fs::remove_file(file);
    }
    written
}
