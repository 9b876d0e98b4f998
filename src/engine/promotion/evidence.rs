//! The evidence of a promotion: one archive that a stranger verifies with `sha256sum -c` and `ssh-keygen -Y verify`. Reads; changes nothing.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::logs::hex;
use super::wish::find;
use super::{doc, holds, logs, tar};
use crate::api::ApiError;
use crate::config::Evidence;
use crate::domain::promotion::Promotion;
use crate::engine::blocking::blocking;
use crate::engine::state::Engine;
use crate::engine::{contents, rows};

/// What the signature is for: a signature of anything else does not verify as evidence.
pub const NAMESPACE: &str = "quarterdeck-evidence";
const SIGN: Duration = Duration::from_secs(30);
const AUDIT: usize = 100_000;

/// The archive (tar, gzip) of a promotion.
pub async fn pack(engine: &Arc<Engine>, id: &str) -> Result<Vec<u8>, ApiError> {
    let (mut files, signer, at_s) = {
        let (engine, id) = (engine.clone(), id.to_owned());
        blocking(move || {
            let files = files(&engine, &id)?;
            Ok((files, engine.site()?.evidence.clone(), engine.now_us() / 1_000_000))
        })
        .await?
    };
    crate::base::crash::point("promotion.packed");
    files.push(("README.txt".into(), readme(id, signer.as_ref()).into_bytes()));
    if let Some(signer) = &signer {
        files.push(("allowed_signers".into(), allowed(signer).await?.into_bytes()));
    }
    let sums: String = files.iter().map(|(name, bytes)| format!("{}  {name}\n", hex(bytes))).collect();
    files.push(("SHA256SUMS".into(), sums.clone().into_bytes()));
    if let Some(signer) = &signer {
        files.push(("SHA256SUMS.sig".into(), sign(signer, sums.as_bytes()).await?));
    }
    let dir = format!("evidence-{id}");
    let files: Vec<(String, Vec<u8>)> = files.into_iter().map(|(name, bytes)| (format!("{dir}/{name}"), bytes)).collect();
    let mut gz = GzEncoder::new(Vec::new(), Compression::default());
    let tar = tar::archive(&files, u64::try_from(at_s).unwrap_or(0));
    gz.write_all(&tar).and_then(|()| gz.finish()).map_err(|e| ApiError::failed(format!("the archive cannot be packed: {e}"), ""))
}

fn pretty(value: &Value) -> Vec<u8> {
    let mut out = serde_json::to_vec_pretty(value).unwrap_or_default();
    out.push(b'\n');
    out
}

fn files(engine: &Engine, id: &str) -> Result<Vec<(String, Vec<u8>)>, ApiError> {
    let p = find(engine, id)?;
    let mut out = vec![("promotion.json".to_owned(), pretty(&serde_json::to_value(&p).unwrap_or_default()))];
    out.push(("shown.json".into(), pretty(&doc::document(engine, &p)?)));
    let plans = engine.store.promotion_plans(id)?;
    for r in &plans {
        // The very bytes that the sha is of: `sha256sum` says it again.
        if let Ok(plan) = serde_json::from_str::<crate::domain::promotion::plan::Plan>(&r.json) {
            out.push((format!("plans/{}-{}.plan", r.version, r.sha.get(..12).unwrap_or_default()), plan.canonical()));
        }
    }
    let gates: Vec<Value> = engine
        .store
        .gate_results(id)
        ?
        .into_iter()
        .map(|(v, g)| {
            let evidence: Value = serde_json::from_str(&g.evidence).unwrap_or_default();
            json!({"version": v, "sha": plans.iter().find(|p| p.version == v).map(|p| &p.sha), "gate": g.gate, "result": g.result, "detail": g.detail, "evidence": evidence})
        })
        .collect();
    out.push(("gates.json".into(), pretty(&gates.into())));
    let about = |subject: &str| subject == id || subject.starts_with(&format!("{id}/"));
    // Every run of it, those that were sent back too.
    let runs = engine.store.runs_of_causes(&format!("promotion:{id}:"))?;
    let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
    let ours = |subject: &str| about(subject) || runs.iter().any(|r| subject == r.as_str() || subject.starts_with(&format!("{r}/")));
    let decisions = engine.store.decisions(AUDIT)?;
    let decisions: Vec<Value> = decisions.iter().rev().filter(|d| ours(&d.subject)).map(|d| rows::decision(d).into()).collect();
    out.push(("decisions.json".into(), pretty(&decisions.into())));
    let view = engine.store.audit_view(AUDIT)?;
    let entries: Vec<Value> = view.entries.iter().rev().filter(|e| ours(&e.record.subject)).map(|e| rows::audit(e).into()).collect();
    let chain = view.chain.map_or_else(|b| b.to_string(), |n| format!("whole: {n} entries"));
    out.push(("audit.json".into(), pretty(&json!({"chain": chain, "entries": entries}))));
    if let Some(fp) = p.base_fp() {
        out.push(("verdicts.json".into(), pretty(&serde_json::to_value(engine.store.verdicts(fp)?).unwrap_or_default())));
    }
    out.push(("changes.json".into(), pretty(&changes(engine, &p))));
    let brought = plans.iter().filter_map(|r| serde_json::from_str::<crate::domain::promotion::plan::Plan>(&r.json).ok());
    let ids: BTreeSet<u64> =
        brought.flat_map(|p| p.lines.iter().map(|l| l.id).chain(p.additions.iter().map(|a| a.id)).collect::<Vec<_>>()).collect();
    let held: Vec<Value> = holds::table(engine)?
        .into_iter()
        .filter(|r| r.get("hold").and_then(Value::as_u64).is_some_and(|id| ids.contains(&id)))
        .map(Value::from)
        .collect();
    out.push(("holds.json".into(), pretty(&held.into())));
    let mut left = logs::ALL;
    for name in runs {
        let Ok(run) = name.parse::<crate::domain::run::RunRef>() else { continue };
        // One that retention has taken is named in the promotion, and that is all that is left.
        let (Ok(row), Ok(plan)) = (engine.store.run(&run), engine.store.plan_json(&run)) else { continue };
        let file = format!("runs/{}-{}", run.pipeline, run.number);
        let stages: Vec<Value> = engine
            .store
            .stages(&run)
            ?
            .iter()
            .map(|s| json!({"stage": s.name, "state": s.state, "verdict": s.verdict, "detail": s.detail, "started": rows::time_opt(s.started_us), "ended": rows::time_opt(s.ended_us)}))
            .collect();
        let (logs, texts) = logs::of_run(engine, &run, &file, &mut left)?;
        out.extend(texts);
        out.push((format!("{file}.json"), pretty(&json!({"run": rows::run(&row), "stages": stages, "logs": logs}))));
        out.push((format!("{file}.plan.json"), plan.into_bytes()));
    }
    Ok(out)
}

/// Packages and CVE ids between what was served and the candidate; what cannot be said is said to be unknown.
fn changes(engine: &Engine, p: &Promotion) -> Value {
    let unknown = |why: String| json!({"unknown": why});
    let Some(taken) = p.taken.first() else { return unknown("no candidate was taken".into()) };
    let before = p.before.iter().find(|b| b.dc == taken.dc);
    let from = match before.map(|b| &b.from) {
        Some(led) => led.snapshot().map(str::to_owned).ok_or_else(|| led.words().to_owned()),
        None => Err("nothing was switched, so nothing was replaced".to_owned()),
    };
    let from = match from {
        Ok(from) => from,
        Err(what) => return unknown(format!("what was served before {} is no snapshot: {what}", taken.id)),
    };
    let told = engine.site().and_then(|site| {
        let state = engine.watch.dirs().state.clone();
        let places = contents::Places { site: &site, state: &state, paths: false };
        contents::compare(&state, &places.find(&from)?, &places.find(&taken.id)?, true)
    });
    told.map_or_else(|e| unknown(e.to_string()), |doc| serde_json::to_value(doc).unwrap_or_default())
}

fn readme(id: &str, signer: Option<&Evidence>) -> String {
    let mut out = format!(
        "Evidence of promotion {id}, written by quarterdeck {}.\n\nVerify that nothing was changed since:\n\n  sha256sum -c SHA256SUMS\n",
        env!("CARGO_PKG_VERSION")
    );
    match signer {
        Some(s) => out.push_str(&format!(
            "\nand who says so (`allowed_signers` here names the key; compare it with the one that the site has given you by another way):\n\n  \
             ssh-keygen -Y verify -f allowed_signers -I {} -n {NAMESPACE} -s SHA256SUMS.sig < SHA256SUMS\n",
            s.identity
        )),
        None => out.push_str("\nIt is UNSIGNED: the site file has no [evidence] key. The sums prove that the files belong together, not who wrote them.\n"),
    }
    out.push_str(
        "\nchanges.json: packages and CVE ids between what was served and the candidate. holds.json: holds and additions, with owner and end.\n\
         runs/*.json say what each stage did; runs/*/*.log are the texts of its steps without secrets and control characters, the middle left out\n\
         where one is long; `sha256` there is that of the log as its supervisor wrote it, which stays with the engine.\n",
    );
    out.push_str("\nplans/N-SHA.plan holds the very bytes that a plan's sha is of: sha256sum plans/* says it again.\n");
    out
}

fn no_sign(what: &str, key: &Path) -> ApiError {
    ApiError::failed(
        format!("the evidence cannot be signed with {}: {what}", key.display()),
        "look at [evidence] in site.toml; the key has no passphrase, or its agent runs beside the engine",
    )
}

/// `IDENTITY PUBLICKEY`, as ssh-keygen wants it.
async fn allowed(signer: &Evidence) -> Result<String, ApiError> {
    let key = signer.key.display().to_string();
    let out = keygen(&["-y", "-P", "", "-f", &key], &[], &signer.key).await?;
    let text = String::from_utf8_lossy(&out);
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(public)) => Ok(format!("{} namespaces=\"{NAMESPACE}\" {kind} {public}\n", signer.identity)),
        _ => Err(no_sign("it has no public part", &signer.key)),
    }
}

async fn sign(signer: &Evidence, sums: &[u8]) -> Result<Vec<u8>, ApiError> {
    let key = signer.key.display().to_string();
    keygen(&["-Y", "sign", "-q", "-f", &key, "-n", NAMESPACE], sums, &signer.key).await
}

/// One call of ssh-keygen, with a limit. It never asks: it has no terminal.
async fn keygen(args: &[&str], input: &[u8], key: &Path) -> Result<Vec<u8>, ApiError> {
    let fail = |e: std::io::Error| no_sign(&format!("ssh-keygen: {e}"), key);
    let mut command = tokio::process::Command::new("ssh-keygen");
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env("SSH_ASKPASS_REQUIRE", "never");
    let mut child = command.spawn().map_err(fail)?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input).await.map_err(fail)?;
    }
    let out = tokio::time::timeout(SIGN, child.wait_with_output())
        .await
        .map_err(|_| no_sign(&format!("no answer within {} s", SIGN.as_secs()), key))?
        .map_err(fail)?;
    if out.status.success() && !out.stdout.is_empty() {
        return Ok(out.stdout);
    }
    Err(no_sign(&crate::base::sanitise::cell(&String::from_utf8_lossy(&out.stderr)), key))
}
