//! `content/signatures`: every package of the trees is signed by one of the keys that are given, and so is the metadata where it brings a
//! signature (`repomd.xml.asc`); what the machine trusts counts for nothing.
//!
//! What it finds is a fact, which G7 of a promotion reads. A tool that is not installed is said in the fact: it is never good.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{repos, tell};
use crate::base::count;
use crate::domain::content::Collector;
use crate::domain::report::Fact;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;
use crate::systems::repo::{Origin, inventory};
use crate::systems::signature::{Home, SignatureError, gpgv, names, rpmkeys};
use crate::wire::excerpt;

/// Of one call of the tool, for 200 packages.
const LIMIT: Duration = Duration::from_secs(600);
/// Packages between two words of progress.
const BATCH: usize = 1_000;
const SHOWN: usize = 100;

/// A directory for the key database.
fn home(env: &StepEnv) -> Result<Home, StepError> {
    let above = env.workspace.clone().unwrap_or_else(std::env::temp_dir);
    let made = Home::at(&above.join(format!(".quarterdeck-keys-{}", std::process::id())));
    made.map_err(|e| StepError::failed(e.to_string(), "look at the rights and the space there"))
}

fn wrong(e: &SignatureError) -> StepError {
    let next = "give ASCII-armoured public keys of those who sign the packages: key=/path";
    match e {
        SignatureError::Key { .. } | SignatureError::NoKeys => StepError::input(e.to_string(), next),
        e => StepError::failed(e.to_string(), "look at the tool by hand: rpmkeys --checksig -v PACKAGE"),
    }
}

pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let keys: Vec<PathBuf> = with.list("key").iter().filter(|k| !k.is_empty()).map(|k| env.path(k)).collect();
    let trusted = names(&keys).map_err(|e| wrong(&e))?;
    let must = !with.flag("report-only");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|e| StepError::failed(format!("no runtime: {e}"), "see whether the process limit is reached (ulimit -u)"))?;
    let (mut all, mut packages, mut heads) = (Collector::new(), Vec::new(), Vec::new());
    for repo in repos(with, "tree", env) {
        let origin = Origin::open(&repo.at)?;
        let Origin::Local(tree) = &origin else {
            let what = format!("`{}` is no directory", excerpt(&repo.at));
            return Err(StepError::input(what, "signatures are read from packages on disk: sync them first"));
        };
        let root = std::fs::canonicalize(tree.path()).map_err(|e| StepError::failed(format!("{}: {e}", repo.at), "sync it again"))?;
        let found = runtime.block_on(inventory::read(&repo.name, &origin, &mut all))?;
        let (file, signature) = (root.join("repodata/repomd.xml"), root.join("repodata/repomd.xml.asc"));
        if std::fs::symlink_metadata(&signature).is_ok() {
            heads.push(Head { name: format!("{}/repodata/repomd.xml", repo.name), file, signature });
        }
        packages.extend(found.shelf.packages.iter().map(|p| root.join(p.location.as_str())));
    }
    let reading = all.finish();
    tell(report, with, &reading);
    let fp = reading.fp.known().unwrap_or_default().to_owned();
    let set = with.text("set").unwrap_or_default().to_owned();
    let fact = |checked: u64, bad: Vec<String>, tool: &str| Fact::Signatures {
        set: set.clone(),
        fp: fp.clone(),
        checked,
        metadata: heads.len() as u64,
        bad,
        keys: trusted.clone(),
        tool: tool.to_owned(),
    };
    match runtime.block_on(judged(&keys, &packages, &heads, env, report)) {
        Ok(bad) => {
            report.fact(fact(packages.len() as u64, bad.iter().map(|(name, _)| name.clone()).collect(), ""));
            conclude(report, (packages.len(), heads.len()), &bad, must)
        }
        Err(Wrong::Tool(e)) if e.is_not_available() => {
            report.fact(fact(0, Vec::new(), e.tool().unwrap_or_default()));
            if must {
                return Err(StepError::failed(e.to_string(), "nothing was judged"));
            }
            report.detail(&format!("N/A: {e}"));
            report.summary("no signature was judged");
            report.finish()
        }
        Err(Wrong::Tool(e)) => Err(wrong(&e)),
        Err(Wrong::Step(e)) => Err(e),
    }
}

/// Metadata with a detached signature beside it.
struct Head {
    name: String,
    file: PathBuf,
    signature: PathBuf,
}

enum Wrong {
    Tool(SignatureError),
    Step(StepError),
}

/// Packages and metadata without a good signature, with what is wrong.
async fn judged(
    keys: &[PathBuf],
    packages: &[PathBuf],
    heads: &[Head],
    env: &StepEnv,
    report: &Report,
) -> Result<Vec<(String, String)>, Wrong> {
    let home = home(env).map_err(Wrong::Step)?;
    let db = rpmkeys::Database::new(home.path(), keys, LIMIT).await.map_err(Wrong::Tool)?;
    let mut bad = Vec::new();
    for head in heads {
        let found = gpgv::verify(home.path(), keys, &head.signature, &head.file, LIMIT).await.map_err(Wrong::Tool)?;
        if !found.is_good() {
            bad.push((head.name.clone(), found.to_string()));
        }
    }
    for (i, batch) in packages.chunks(BATCH).enumerate() {
        report.progress((i * BATCH) as u64, packages.len() as u64, "packages", "reading signatures");
        let verdicts = db.check(batch, LIMIT).await.map_err(Wrong::Tool)?;
        for (path, verdict) in batch.iter().zip(verdicts).filter(|(_, v)| !v.is_good()) {
            bad.push((file_name(path), verdict.to_string()));
        }
    }
    Ok(bad)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

fn conclude(report: &Report, (checked, heads): (usize, usize), bad: &[(String, String)], must: bool) -> Result<(), StepError> {
    for (name, why) in bad.iter().take(SHOWN) {
        report.say(&format!("{}: {why}", excerpt(name)));
    }
    if bad.len() > SHOWN {
        report.say(&format!("only the first {SHOWN} are shown"));
    }
    report.output("unsigned", &bad.len().to_string());
    let metadata = if heads == 0 { String::new() } else { format!(" and {heads} repomd.xml") };
    let detail = match bad.first() {
        None => format!("{}{metadata}, all signed by the keys that were given", count::s(checked as u64, "package")),
        Some((name, why)) => format!("{} of {checked} packages{metadata} without a good signature; {}: {why}", bad.len(), excerpt(name)),
    };
    if must && !bad.is_empty() {
        return Err(StepError::failed(detail, "look who built them; a key that is right but not given is given as key=PATH"));
    }
    report.detail(&detail);
    report.summary(&detail);
    report.finish()
}
