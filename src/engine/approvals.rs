//! What waits for people, as the guard and `why` see it: who may decide, whether it has moved since, and in what words that is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::guard::{self, Caller};
use super::plan;
use super::state::Engine;
use crate::api::ApiError;
use crate::api::types::Do;
use crate::base::{sanitise, suggest};
use crate::config::{SecondPerson, Site};
use crate::domain::person;
use crate::domain::promotion;
use crate::domain::reason::{Asked, Reason};
use crate::domain::rows::RunRow;
use crate::domain::run::RunRef;
use crate::pipeline::plan::Plan;
use crate::runner::model::approval::{Vote, Voted, short};
use crate::runner::model::wait::{self, Wait};
use crate::store::Store;

/// A content set that cannot be read within this is unknown, and what depends on it is not approved.
const LOOK: Duration = Duration::from_secs(60);
/// For what the runner has just decided to be written; a disk that takes longer is told as it is.
const WRITTEN: Duration = Duration::from_secs(5);

/// A decision that the caller may take, as far as the guard can tell.
pub struct Ballot {
    pub row: RunRow,
    pub wait: Wait,
    /// Stands for all that are needed.
    pub alone: bool,
}

/// Finds what the request is about and whether this caller may decide it. Blocks.
pub fn ballot(engine: &Engine, site: &Site, caller: &Caller, row: RunRow, request: &Do) -> Result<Ballot, ApiError> {
    let run = row.run.clone();
    let (open, plan) = read(&engine.store, &run)?;
    let mut waits = wait::waits(&open, &plan);
    if waits.is_empty() {
        // The runner tells `get queue` and `why` that it waits a moment before that is written.
        engine.store.catch_up(WRITTEN);
        waits = wait::waits(&read(&engine.store, &run)?.0, &plan);
    }
    let stage = request.with.get("stage");
    if let Some(name) = stage {
        elsewhere(&run, name, &waits)?;
        waits.retain(|w| w.stage.as_ref() == Some(name));
    }
    let subject = stage.map_or_else(|| run.to_string(), |s| format!("{run}/{}", sanitise::cell(s)));
    let names: Vec<String> = waits.iter().filter_map(|w| w.stage.clone()).collect();
    if waits.iter().any(|w| w.rules.roles.iter().any(|r| r == promotion::ENGINE)) && promotion::owns(&run.pipeline) {
        return Err(ApiError::refused(
            format!("{run} waits for the engine, which computes the plan again before the next pointer moves"),
            format!("look: quarterdeck why '{run}'; to stop it: quarterdeck do promote-halt PROMOTION"),
        ));
    }
    let wait = match waits.len() {
        0 => return Err(ApiError::refused(none(engine, &row, &plan)?, format!("look: quarterdeck why '{run}'"))),
        1 => waits.remove(0),
        _ => {
            let message = format!("{run} waits at several stages: {}", names.join(", "));
            return Err(ApiError::bad(message, "say which: -p stage=NAME"));
        }
    };
    let ground = engine.ground(site);
    guard::may_decide(ground, caller, &wait.rules.roles, &subject)?;
    let mut alone = false;
    if request.action == "approve" {
        let own = wait.rules.not_requester && person::shared(&wait.asker, &caller.actor).is_some();
        alone = guard::alone(ground, caller, wait.rules.quorum > 1 || own, &wait.subject)?;
    }
    Ok(Ballot { row, wait, alone })
}

/// A stage that does not wait, beside some that do: a slip is told, with what waits.
fn elsewhere(run: &RunRef, name: &str, waits: &[Wait]) -> Result<(), ApiError> {
    let names: Vec<&str> = waits.iter().filter_map(|w| w.stage.as_deref()).collect();
    if names.is_empty() || names.contains(&name) {
        return Ok(());
    }
    let help = suggest::meant(name, names.iter().copied(), format!("it waits at: {}", sanitise::cell(&names.join(", "))));
    Err(ApiError::bad(format!("{run} does not wait for approval at a stage `{}`", sanitise::cell(name)), help))
}

fn read(store: &Store, run: &RunRef) -> Result<(crate::store::OpenRun, Plan), ApiError> {
    let open = store.load_run(run)?;
    let plan = serde_json::from_str(&open.plan_json)
        .map_err(|e| ApiError::failed(format!("the plan of {run} cannot be read: {e}"), "was it made by a newer version?"))?;
    Ok((open, plan))
}

/// Why there is nothing to decide, with what became of the last approval.
fn none(engine: &Engine, row: &RunRow, plan: &Plan) -> Result<String, ApiError> {
    if let Some(verdict) = row.verdict {
        let detail = if row.detail.is_empty() { String::new() } else { format!(": {}", row.detail) };
        return Ok(format!("{} has ended: {verdict}{detail}", row.run));
    }
    let stages = engine.store.stages(&row.run)?;
    let asked = stages.iter().zip(&plan.stages).rev().find(|(now, s)| s.approve.is_some() && now.verdict.is_some());
    Ok(match asked {
        Some((s, _)) => {
            let verdict = s.verdict.map(|v| v.to_string()).unwrap_or_default();
            format!("{} waits for no approval now: its stage `{}` has ended: {verdict}: {}", row.run, s.name, s.detail)
        }
        None => format!("{} waits for no approval", row.run),
    })
}

/// Refuses where what is to be approved is no longer what was asked for: another plan, or other content.
pub async fn unmoved(engine: &Arc<Engine>, ballot: &Ballot) -> Result<(), ApiError> {
    let (wait, run) = (&ballot.wait, &ballot.row.run);
    // A run that goes on keeps its plan, whatever became of the file.
    if wait.stage.is_none() && ballot.row.round == 0 {
        let (engine, run, wanted) = (engine.clone(), run.clone(), wait.plan.clone());
        super::blocking::blocking(move || {
            let frozen = plan::frozen(&engine, &run)?;
            let site = engine.site()?;
            let now = plan::of_pipeline(&engine, &site, &run.pipeline, &frozen.parameters);
            let same = now.as_ref().is_ok_and(|p| serde_json::to_string(p).is_ok_and(|json| wait::sha_of(&json) == wanted));
            if same {
                return Ok(());
            }
            let what = now.err().map_or_else(|| "its file or the site file says something else now".to_owned(), |e| e.message);
            let message = format!("{run} is not what it was when it was asked for: {what}");
            Err(ApiError::refused(message, format!("ask anew: quarterdeck do deny '{run}' --reason moved; then run it again")))
        })
        .await?;
    }
    for (set, before) in &wait.inputs {
        let now = look(engine, set).await;
        let moved = match now {
            Ok(fp) if fp == *before && !before.is_empty() => continue,
            Ok(fp) if before.is_empty() => {
                format!("content `{set}` was unknown when it was asked for, and is {} now", short(&fp))
            }
            Ok(fp) => format!("content `{set}` has moved: {} then, {} now", short(before), short(&fp)),
            Err(why) => format!("content `{set}` cannot be read now, and unknown equals nothing: {why}"),
        };
        let help = format!("judge the content of now: quarterdeck cancel '{run}'; quarterdeck replay '{run}'");
        return Err(ApiError::refused(format!("{}: {moved}", wait.subject), help));
    }
    Ok(())
}

async fn look(engine: &Engine, set: &str) -> Result<String, String> {
    match tokio::time::timeout(LOOK, engine.content.look(set)).await {
        Ok(r) => r.fp.known().map(str::to_owned).ok_or(r.detail),
        Err(_) => Err(format!("no answer within {} s", LOOK.as_secs())),
    }
}

/// What the sets that a plan only reads hold now: a second person approves that, and nothing else.
pub async fn inputs(engine: &Engine, plan: &Plan) -> Result<BTreeMap<String, String>, ApiError> {
    let mut out = BTreeMap::new();
    for set in plan.reads.iter().filter(|s| !plan.writes.contains(s)) {
        let fp = look(engine, set).await.map_err(|why| {
            let message = format!("content `{set}`, which `{}` reads, is unknown: {why}", plan.pipeline);
            ApiError::refused(message, "a second person could not say what they approve: make it readable first")
        })?;
        out.insert(set.clone(), fp);
    }
    Ok(out)
}

/// The vote that a request is.
pub fn vote(request: &Do, ballot: &Ballot, record: crate::domain::audit::Record) -> Vote {
    let answers: IndexMap<String, String> =
        request.with.iter().filter(|(k, _)| !matches!(k.as_str(), "stage" | "sha")).map(|(k, v)| (k.clone(), v.clone())).collect();
    Vote {
        approve: request.action == "approve",
        stage: ballot.wait.stage.clone(),
        // What was judged here is what is decided there.
        sha: Some(request.with.get("sha").cloned().unwrap_or_else(|| ballot.wait.sha.clone())),
        answers,
        single_person: ballot.alone,
        record,
    }
}

/// What a vote came to.
pub fn told(voted: &Voted, approve: bool) -> String {
    let Voted { subject, given, quorum, again, over } = voted;
    let whole = !subject.contains('/');
    match (approve, again, over) {
        (true, true, _) => format!("you have approved {subject} already: {given} of {quorum}"),
        (true, false, true) if whole => format!("{subject} is approved, and queued"),
        (true, false, true) => format!("{subject} is approved: the run goes on"),
        (true, false, false) => format!("{subject}: {given} of {quorum} approvals, {} missing", quorum.saturating_sub(*given)),
        (false, ..) => format!("{subject} is denied"),
    }
}

/// What `why` adds to a reason that waits for people: who exactly, what to look at, what to answer. Blocks.
pub fn words(engine: &Engine, site: &Site, run: &RunRef, reasons: &[Reason]) -> Vec<String> {
    let mut out = Vec::new();
    for asked in reasons.iter().filter_map(|r| if let Reason::Approval(a) = r { Some(a) } else { None }) {
        out.push(who(engine, site, asked));
        for item in &asked.show {
            out.extend(shown(engine, run, item));
        }
        out.extend(asked.questions.iter().map(|(name, allowed)| format!("it asks: -p {name}=VALUE: {allowed}")));
        let stage = asked.stage.as_ref().map(|s| format!(" -p stage={}", quoted(s))).unwrap_or_default();
        // Who comes later agrees with the answers of the first.
        let first = asked.given.is_empty();
        let answers: String = asked.questions.iter().filter(|_| first).map(|(name, _)| format!(" -p {name}=VALUE")).collect();
        out.push(format!(
            "quarterdeck approve {0}{stage} -p sha={1}{answers}; or quarterdeck do deny {0} --reason TEXT",
            quoted(&run.to_string()),
            short(&asked.sha)
        ));
    }
    out
}

fn who(engine: &Engine, site: &Site, asked: &Asked) -> String {
    if engine.one_user(site) {
        let alone = asked.quorum > 1 || asked.not.is_some();
        return match site.second_person {
            SecondPerson::None => "may approve: the owner of this engine, recorded as a single person".to_owned(),
            SecondPerson::Required if alone => {
                "nobody may approve: it needs a second person, and this engine has one user; `second_person = \"none\"` in site.toml lets it pass"
                    .to_owned()
            }
            SecondPerson::Required => "may approve: the owner of this engine".to_owned(),
        };
    }
    let role = |r: &str| {
        let members = site.roles.as_ref().and_then(|m| m.get(r)).map(|m| m.join(", ")).filter(|m| !m.is_empty());
        format!("{r} ({})", members.as_deref().unwrap_or("nobody has it"))
    };
    let mut roles: Vec<String> = asked.roles.iter().map(|r| role(r)).collect();
    if !asked.roles.iter().any(|r| r == "admin") {
        roles.push(role("admin"));
    }
    let not = asked.not.as_ref().map(|n| format!("; not {n}, who asked for it")).unwrap_or_default();
    format!("may approve: {}{not}; two people differ in uid and in login uid", roles.join(", "))
}

/// A stage's log, or the kept files that a pattern finds.
fn shown(engine: &Engine, run: &RunRef, item: &str) -> Vec<String> {
    let stages = engine.store.stages(run).unwrap_or_default();
    if let Some(s) = stages.iter().find(|s| s.name == item) {
        let verdict = s.verdict.map_or("not ended".to_owned(), |v| v.to_string());
        return vec![format!("look first: stage `{item}` ({verdict}): quarterdeck log {}", quoted(&format!("{run}/{item}")))];
    }
    let dir = engine.store.dir().join("runs").join(&run.pipeline).join(run.number.to_string());
    let found: Vec<String> = match glob::Pattern::new(item) {
        Ok(p) => engine
            .store
            .artifacts(run)
            .unwrap_or_default()
            .into_iter()
            .map(|a| format!("artifacts/{}", a.path))
            .filter(|path| p.matches(path) || path.strip_prefix("artifacts/").is_some_and(|rest| p.matches(rest)))
            .take(20)
            .map(|path| format!("look first: {}", dir.join(sanitise::cell(&path)).display()))
            .collect(),
        Err(_) => Vec::new(),
    };
    if found.is_empty() { vec![format!("look first: no kept file matches `{item}`")] } else { found }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// When a request for a second person ends by itself.
pub fn until(engine: &Engine) -> String {
    engine.told(engine.now_us().saturating_add_unsigned(wait::HOLD.ms().saturating_mul(1_000)))
}
