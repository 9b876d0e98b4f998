//! The one place where a test may say that it did not run. Counted, printed, and a failure in CI unless `tests/skips.toml` allows it.
//!
//! Use: `return support::skip("interop.dnf", "dnf is not installed");`. With `QD_SKIPS=FILE` each skip is also appended
//! there as `NAME<TAB>WHY`, so that a run of all tests can print the sum.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

static COUNT: AtomicU32 = AtomicU32::new(0);

/// Prints `SKIPPED: NAME: WHY` and counts it. Under `CI=true` it panics unless `tests/skips.toml` names `name`.
pub fn skip(name: &str, why: &str) {
    let n = COUNT.fetch_add(1, Ordering::SeqCst) + 1;
    println!("SKIPPED: {name}: {why} (skip {n} of this program)");
    if let Some(file) = std::env::var_os("QD_SKIPS")
        && let Ok(mut f) = std::fs::OpenOptions::new().append(true).create(true).open(file)
    {
        let _ = f.write_all(format!("{name}\t{why}\n").as_bytes());
    }
    let ci = std::env::var("CI").is_ok_and(|v| v == "true");
    let list = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/skips.toml")).unwrap_or_default();
    if let Err(message) = allowed(ci, &list, name) {
        panic!("{message}");
    }
}

/// The rule: outside CI every skip passes; in CI only what the list names with a reason.
fn allowed(ci: bool, list: &str, name: &str) -> Result<(), String> {
    if !ci {
        return Ok(());
    }
    let table: toml::Table = list.parse().map_err(|e| format!("tests/skips.toml: {e}"))?;
    match table.get("skips").and_then(|s| s.get(name)).and_then(toml::Value::as_str) {
        Some(reason) if reason.trim().len() >= 10 => Ok(()),
        Some(_) => Err(format!("`{name}` is in tests/skips.toml without a reason that a reader could use")),
        None => Err(format!("`{name}` was skipped under CI=true: install what it needs, or name it with its reason in tests/skips.toml")),
    }
}

/// True where `name` is an executable on the PATH.
pub fn have_program(name: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .any(|dir| std::fs::metadata(dir.join(name)).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0))
    })
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn in_ci_only_a_listed_skip_with_a_reason_passes() {
        let list = "[skips]\n\"interop.dnf\" = \"there is no dnf for this architecture\"\n\"lazy\" = \"no\"\n";
        assert!(allowed(false, "", "anything").is_ok());
        assert!(allowed(true, list, "interop.dnf").is_ok());
        assert!(allowed(true, list, "interop.rpm").unwrap_err().contains("skips.toml"));
        assert!(allowed(true, list, "lazy").unwrap_err().contains("without a reason"));
        assert!(allowed(true, "not toml", "x").is_err());
    }

    #[test]
    fn the_list_of_the_project_is_readable() {
        let list = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/skips.toml")).unwrap();
        let table: toml::Table = list.parse().unwrap();
        assert!(table.get("skips").is_some_and(toml::Value::is_table));
    }
}
