//! Probes of the site's files: the site file and every pipeline.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::config::problem::count;
use crate::config::{ConfigError, Dirs, Problem, Site};
use crate::domain::doctor::{self, Row, State};
use crate::engine::catalog;

/// Pipelines that get a row of their own; more would hide the rest.
const ROWS: usize = 20;

/// The site file and every pipeline. `site`: none where its file is broken.
pub fn files(dirs: &Dirs, uid: u32, site: Option<&Site>) -> Vec<Row> {
    let place = dirs.site_file().display().to_string();
    let exists = dirs.site_file().symlink_metadata().is_ok();
    let Some(site) = site else {
        let (why, help) = match dirs.load(uid) {
            Err(ConfigError::Broken { problems, .. }) => broken(&problems),
            Err(e) => (first_line(&e.to_string()), e.help()),
            Ok(_) => ("it changed while it was looked at".to_owned(), "ask again".to_owned()),
        };
        // What a pipeline may name is known only once the site file is right.
        return vec![doctor::configuration(&place, exists, Some((&why, &help)))];
    };
    let mut rows = vec![doctor::configuration(&place, exists, None)];
    rows.extend(commands(site));
    let catalog = match catalog::of_site(dirs, site, uid) {
        Ok(c) => catalog::with_stages(c, dirs, uid),
        Err(e) => {
            rows.push(Row { check: "pipelines".into(), state: State::Fail, found: first_line(&e.to_string()), help: e.help() });
            return rows;
        }
    };
    let mut fine = 0;
    let mut bad = Vec::new();
    for name in &catalog.pipelines {
        match catalog::judge(dirs, name, uid, &catalog) {
            Err(e) => {
                bad.push(Row { check: format!("pipeline {name}"), state: State::Fail, found: first_line(&e.to_string()), help: e.help() })
            }
            Ok(judged) => {
                let errors = judged.errors();
                let warnings = judged.diagnostics.len() - errors;
                let first = judged.diagnostics.iter().find(|d| errors == 0 || d.is_error());
                match first {
                    None => fine += 1,
                    Some(d) => bad.push(doctor::pipeline(name, errors, warnings, &format!("line {}: {}", d.line, d.message))),
                }
            }
        }
    }
    // The worst first, and no failure is cut off behind warnings.
    bad.sort_by_key(|r| std::cmp::Reverse(r.state));
    let more = bad.len().saturating_sub(ROWS);
    let cut = bad.get(ROWS).map(|r| r.state);
    bad.truncate(ROWS);
    rows.extend(bad);
    if let Some(state) = cut {
        let help = "quarterdeck pipeline lint shows all".to_owned();
        rows.push(Row { check: "pipelines".into(), state, found: format!("{more} more with errors or warnings"), help });
    }
    rows.push(doctor::pipelines_fine(fine, catalog.pipelines.len()));
    rows
}

/// The programs that the site tells people by: one that is not there tells nobody, on the night when it matters.
fn commands(site: &Site) -> Vec<Row> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let row = |name: String, argv: &[String]| {
        let program = argv.first().map_or("", String::as_str);
        doctor::command(&name, program, is_program(program, &path))
    };
    let failure = site.on_failure.iter().map(|argv| row("on_failure".into(), argv));
    failure.chain(site.notifiers.iter().map(|(name, n)| row(format!("notify {name}"), &n.command))).collect()
}

/// Whether there is such a program: by its path, or in one of the directories of `path`.
fn is_program(name: &str, path: &OsStr) -> bool {
    let executable = |p: &Path| std::fs::metadata(p).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if name.contains('/') { executable(Path::new(name)) } else { std::env::split_paths(path).any(|dir| executable(&dir.join(name))) }
}

fn first_line(text: &str) -> String {
    text.lines().find(|l| !l.trim().is_empty()).unwrap_or_default().to_owned()
}

/// The first slip with its place and cure; `site check` draws all of them.
fn broken(problems: &[Problem]) -> (String, String) {
    let first = problems.first();
    let (line, message, help) = first.map_or((0, "", ""), |p| (p.line, p.message.as_str(), p.help.as_str()));
    let sep = if help.is_empty() { "" } else { "; " };
    (
        format!("{} in the site file, the first in line {line}: {message}", count(problems.len())),
        format!("{help}{sep}quarterdeck site check shows all"),
    )
}
