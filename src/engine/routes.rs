//! The paths of the API: read a request, ask the right part, write the answer. No decision is taken here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Serialize;
use serde_json::json;

use super::guard::{self, Caller};
use super::identity::Peer;
use super::lease::{self, Connection};
use super::state::{Engine, from_store};
use super::{
    act, approvals, compared, doctor, events, freshness, get as rows_of, log, log_search, metrics, pages, paging, preview, promotion,
    repo_page, rows, secret_acts, tested, trees, wait, why,
};
use crate::api::ApiError;
use crate::api::diff_part::{self, Part};
use crate::api::error::ErrorBody;
use crate::api::types::{Arm, Do, MAX_BODY, Machine, Rows, Why};
use crate::base::size;
use crate::domain::rows::RunRow;
use crate::domain::run::{RunRef, RunState};

type Shared = State<Arc<Engine>>;
type Params = Query<BTreeMap<String, String>>;

/// A long question may take so long; the client asks again.
const LONGEST_WAIT: u64 = 60;

pub fn router(engine: Arc<Engine>) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/get/{what}", get(table))
        .route("/v1/machine", get(machine))
        .route("/v1/do", post(change))
        .route("/v1/arm", post(arm))
        .route("/v1/disarm", post(disarm))
        .route("/v1/plan/{pipeline}", get(plan))
        .route("/v1/runs/{pipeline}/{number}", get(run))
        .route("/v1/about/{pipeline}/{number}", get(about))
        .route("/v1/promotions/{id}", get(promotion_page))
        .route("/v1/promotions/{id}/why", get(promotion_why))
        .route("/v1/promotions/{id}/evidence", get(evidence))
        .route("/v1/history/{pipeline}", get(history))
        .route("/v1/why/{repo}", get(why_repo))
        .route("/v1/why/{pipeline}/{number}", get(why))
        .route("/v1/attempts/{pipeline}/{number}", get(attempts))
        .route("/v1/log/{pipeline}/{number}/{fence}", get(log_page))
        .route("/v1/grep/{pipeline}/{number}/{fence}", get(log_search))
        .route("/v1/diff", get(diff))
        .route("/v1/diff/{table}", get(diff_table))
        .route("/v1/repos/{name}", get(repo))
        .route("/v1/events", get(stream))
        .route("/v1/secrets/{name}/test", get(secret_test))
        .route("/metrics", get(metrics_page))
        .fallback(unknown)
        .method_not_allowed_fallback(unknown)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(engine)
}

/// An error on its way out.
pub struct Fault(pub ApiError);

impl From<ApiError> for Fault {
    fn from(e: ApiError) -> Self {
        Self(e)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, answer(&ErrorBody { error: self.0 })).into_response()
    }
}

fn json_text(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

fn answer(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => json_text(bytes),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}")).into_response(),
    }
}

/// Runs what blocks for a moment (the store, the site file, the user database) off the runtime's threads.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, ApiError> + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|e| Err(ApiError::failed(format!("the engine is ending: {e}"), "ask again")))
}

/// Who asks, if they may look at all.
async fn viewer(engine: &Arc<Engine>, peer: Peer) -> Result<Caller, ApiError> {
    let engine = engine.clone();
    blocking(move || {
        let caller = engine.caller(peer, engine.watch.uid());
        // A broken site file must not hide what runs; who may look is then what a site without roles says.
        let site = engine.watch.current().unwrap_or_default();
        guard::may_view(engine.ground(&site), &caller)?;
        Ok(caller)
    })
    .await
}

async fn unknown(request: axum::extract::Request) -> Fault {
    ApiError::bad(
        format!("no `{} {}` in this version of the API", request.method(), request.uri().path()),
        "client and engine may differ in version",
    )
    .into()
}

async fn status(State(engine): Shared, Extension(peer): Extension<Peer>) -> Result<Response, Fault> {
    let caller = viewer(&engine, peer).await?;
    let mut status = blocking(move || engine.status()).await?;
    status.you = caller.actor.name;
    Ok(answer(&status))
}

/// What the engine sees of its machine; `get doctor` has the rest beside it, which takes far ends to answer.
async fn machine(State(engine): Shared, Extension(peer): Extension<Peer>) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    Ok(answer(&blocking(move || Ok(Machine { rows: doctor::engine_rows(&engine) })).await?))
}

async fn table(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Path(what): Path<String>,
    Query(q): Params,
) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let question = rows_of::Question {
        what,
        filter: q.get("filter").cloned().unwrap_or_default(),
        sort: q.get("sort").cloned(),
        limit: match q.get("limit").map(|l| l.parse::<usize>()) {
            None => None,
            Some(Ok(n)) => Some(n),
            Some(Err(_)) => return Err(ApiError::bad("`limit` must be a whole number", "").into()),
        },
        page: paging::Ask::of(&|name| q.get(name).cloned())?,
    };
    Ok(json_text(rows_of::text(&engine, question).await?))
}

/// A body that came to its end within the limit.
fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, ApiError> {
    body.map_err(|e| {
        ApiError::bad(format!("this is no request: {}", e.body_text()), format!("send one of {} at most", size::short(MAX_BODY as u64)))
    })
}

async fn change(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Extension(link): Extension<Connection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Fault> {
    let request: Do = serde_json::from_slice(&whole(body)?)
        .map_err(|e| ApiError::bad(format!("this is no request: {e}"), "send {\"action\",\"target\",…}"))?;
    Ok(answer(&act::act_as(&engine, move |e| e.caller(peer, e.watch.uid()), link, request).await?))
}

async fn arm(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Extension(link): Extension<Connection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Fault> {
    let caller = viewer(&engine, peer).await?;
    let ask: Arm = serde_json::from_slice(&whole(body)?)
        .map_err(|e| ApiError::bad(format!("this is no request: {e}"), "send {\"seconds\",\"reason\"}"))?;
    Ok(answer(&lease::arm(&engine, caller, link, ask).await?))
}

async fn disarm(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Extension(link): Extension<Connection>,
) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    Ok(answer(&lease::disarm(&engine, link).await?))
}

async fn plan(State(engine): Shared, Extension(peer): Extension<Peer>, Path(pipeline): Path<String>) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    Ok(answer(&blocking(move || preview::of(&engine, &pipeline)).await?))
}

/// The run that a path names.
pub fn run_ref(pipeline: &str, number: &str) -> Result<RunRef, ApiError> {
    format!("{pipeline}#{number}").parse().map_err(|e: crate::domain::run::BadRunRef| ApiError::bad(e.to_string(), act::RUNS_ARE))
}

async fn row(engine: &Arc<Engine>, run: &RunRef) -> Result<RunRow, ApiError> {
    let (engine, run) = (engine.clone(), run.clone());
    blocking(move || engine.store.run(&run).map_err(|e| from_store(&e))).await
}

async fn run(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Path((pipeline, number)): Path<(String, String)>,
    Query(q): Params,
) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let run = run_ref(&pipeline, &number)?;
    let seconds = q.get("wait").and_then(|w| w.parse::<u64>().ok()).unwrap_or(0).min(LONGEST_WAIT);
    let ended = q.get("ended").and_then(|n| n.parse().ok());
    let summary = wait::summary(&engine, &run, Duration::from_secs(seconds), ended).await?;
    let mut document = rows::document(&summary);
    let row = row(&engine, &run).await?;
    document.basis = preview::basis(&row);
    if summary.state == RunState::Done {
        document.first_error = log::first_error(&engine, &row).await.map(Box::new);
    }
    Ok(answer(&document))
}

async fn zone_of(engine: &Arc<Engine>) -> Result<jiff::tz::TimeZone, ApiError> {
    let engine = engine.clone();
    blocking(move || Ok(engine.zone())).await
}

async fn why(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Path((pipeline, number)): Path<(String, String)>,
) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let run = run_ref(&pipeline, &number)?;
    let row = row(&engine, &run).await?;
    let (tests, others): (Vec<String>, _) = {
        let (engine, run) = (engine.clone(), run.clone());
        let look = move || {
            let late = why::late(&engine.store.facts(&run)?);
            Ok((late.into_iter().chain(tested::said(&engine.store, &run)?).collect(), engine.store.set_off(&run)?))
        };
        blocking(move || look().map_err(|e| from_store(&e))).await?
    };
    let known = engine.clone();
    let reasons = engine.runner.why(&run).await.map_err(|e| act::from_runner(&e))?;
    let detail = reasons.iter().map(|r| serde_json::to_value(r).unwrap_or_else(|_| json!(null))).collect();
    let people = {
        let (run, reasons) = (run.clone(), reasons.clone());
        blocking(move || Ok(approvals::words(&known, &known.watch.current().unwrap_or_default(), &run, &reasons))).await?
    };
    let zone = zone_of(&engine).await?;
    let mut reasons: Vec<String> = reasons.iter().map(|r| r.in_zone(&zone).to_string()).collect();
    reasons.extend(people);
    let ended = why::ended(&row, log::first_error(&engine, &row).await.as_ref(), tests, &others);
    if row.state == RunState::Done && !ended.is_empty() {
        reasons = ended;
    }
    Ok(answer(&Why { run: run.to_string(), state: row.state.to_string(), reasons, detail }))
}

/// Why a repository of the site is as it is.
async fn why_repo(State(engine): Shared, Extension(peer): Extension<Peer>, Path(repo): Path<String>) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    freshness::look_now(&engine, &repo).await;
    let found = {
        let engine = engine.clone();
        let repo = repo.clone();
        blocking(move || trees::why(&engine, &repo)).await?
    };
    let missing =
        || ApiError::bad(format!("no repository `{repo}` in the site file"), "quarterdeck get repos lists them; a run is PIPELINE#NUMBER");
    Ok(answer(&found.ok_or_else(missing)?))
}

async fn about(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Path((pipeline, number)): Path<(String, String)>,
) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let run = run_ref(&pipeline, &number)?;
    Ok(answer(&blocking(move || pages::about(&engine, &run)).await?))
}

async fn history(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Path(pipeline): Path<String>,
    Query(q): Params,
) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let limit = match q.get("limit").map(|l| l.parse::<usize>()) {
        None => 8,
        Some(Ok(n)) => n,
        Some(Err(_)) => return Err(ApiError::bad("`limit` must be a whole number", "").into()),
    };
    Ok(answer(&blocking(move || pages::history(&engine, &pipeline, limit)).await?))
}

/// All that the screen of a promotion shows, with its plan as it is now.
async fn promotion_page(State(engine): Shared, Extension(peer): Extension<Peer>, Path(id): Path<String>) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    Ok(answer(&blocking(move || promotion::doc::document(&engine, &promotion::find(&engine, &id)?)).await?))
}

async fn promotion_why(State(engine): Shared, Extension(peer): Extension<Peer>, Path(id): Path<String>) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let look = move || {
        let p = promotion::find(&engine, &id)?;
        Ok(Why { run: p.id.clone(), state: p.state.to_string(), reasons: promotion::doc::why(&engine, &p)?, detail: Vec::new() })
    };
    Ok(answer(&blocking(look).await?))
}

/// The archive: tar, gzip.
async fn evidence(State(engine): Shared, Extension(peer): Extension<Peer>, Path(id): Path<String>) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let bytes = promotion::evidence::pack(&engine, &id).await?;
    Ok(([(header::CONTENT_TYPE, "application/gzip")], bytes).into_response())
}

/// Beside `/v1`, where every collector looks for it.
async fn metrics_page(State(engine): Shared, Extension(peer): Extension<Peer>) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let page = metrics::page(&engine).await?;
    Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response())
}

async fn stream(State(engine): Shared, Extension(peer): Extension<Peer>, headers: HeaderMap, Query(q): Params) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let from = headers.get("last-event-id").and_then(|v| v.to_str().ok()).or(q.get("from").map(String::as_str));
    Ok(events::stream(engine, from.and_then(|t| t.parse().ok())))
}

async fn secret_test(State(engine): Shared, Extension(peer): Extension<Peer>, Path(name): Path<String>) -> Result<Response, Fault> {
    let caller = viewer(&engine, peer).await?;
    Ok(answer(&secret_acts::test(&engine, caller, name).await?))
}

/// A parameter that must be there.
fn word(q: &BTreeMap<String, String>, key: &str) -> Result<String, ApiError> {
    let missing = || ApiError::bad(format!("`{key}` names no content"), "ask for /v1/diff?a=CONTENT&b=CONTENT");
    q.get(key).filter(|w| !w.is_empty()).cloned().ok_or_else(missing)
}

fn whole_number(q: &BTreeMap<String, String>, key: &str) -> Result<Option<usize>, ApiError> {
    let read = |n: &String| n.parse::<usize>().map_err(|_| ApiError::bad(format!("`{key}` must be a whole number"), ""));
    q.get(key).map(read).transpose()
}

fn with_changelogs(q: &BTreeMap<String, String>) -> bool {
    q.get("changelogs").is_none_or(|v| v != "0")
}

/// Two contents compared: the whole of it, one source package of it, or a part.
async fn diff(State(engine): Shared, Extension(peer): Extension<Peer>, Query(q): Params) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let part = Part {
        packages: match q.get("of").map(String::as_str) {
            None | Some("sources") => false,
            Some("packages") => true,
            Some(_) => return Err(ApiError::bad("`of` is sources or packages", "").into()),
        },
        filter: q.get("filter").cloned().unwrap_or_default(),
        sort: q.get("sort").cloned(),
        offset: whole_number(&q, "offset")?,
        limit: whole_number(&q, "limit")?,
    };
    let doc = compared::of(&engine, word(&q, "a")?, word(&q, "b")?, with_changelogs(&q)).await?;
    if let Some(name) = q.get("source") {
        return Ok(answer(&doc.of_source(name)));
    }
    if part.is_whole() {
        return Ok(answer(&*doc));
    }
    Ok(answer(&doc.part(&part, engine.clock.now())?))
}

/// One table of a comparison, in the shape of `get`, with what stands above it.
async fn diff_table(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Path(table): Path<String>,
    Query(q): Params,
) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    if diff_part::columns(&table).is_none() {
        let help = format!("there are: {}", diff_part::TABLES.join(" "));
        return Err(ApiError::bad(format!("a comparison has no `{}`", crate::base::sanitise::cell(&table)), help).into());
    }
    let ask = paging::Ask::of(&|name| q.get(name).cloned())?.unwrap_or_default();
    let limit = whole_number(&q, "limit")?.unwrap_or(rows_of::MOST).min(rows_of::MOST);
    let revision = engine.model.position().revision;
    let doc = compared::of(&engine, word(&q, "a")?, word(&q, "b")?, with_changelogs(&q)).await?;
    let filter = q.get("filter").map_or("", String::as_str);
    let mut rows = diff_part::rows(&doc, &table, filter, q.get("sort").map(String::as_str), engine.clock.now())?;
    let page = Some(ask.cut(&mut rows, limit));
    Ok(answer(&Rows { what: table, revision, age_ms: 0, rows, error: None, page, diff: Some(Box::new(doc.head())) }))
}

/// What stands around one repository.
async fn repo(State(engine): Shared, Extension(peer): Extension<Peer>, Path(name): Path<String>) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    Ok(answer(&repo_page::asked(&engine, name).await?))
}

async fn attempts(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Path((pipeline, number)): Path<(String, String)>,
    Query(q): Params,
) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let errors = q.get("first_error").is_some_and(|v| v == "1");
    Ok(answer(&log::attempts(&engine, &run_ref(&pipeline, &number)?, errors).await?))
}

type AttemptPath = Path<(String, String, u64)>;

async fn log_page(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Path((pipeline, number, fence)): AttemptPath,
    Query(q): Params,
) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let ask = log::Ask::of(&q)?;
    Ok(answer(&log::page(&engine, &run_ref(&pipeline, &number)?, fence, ask).await?))
}

async fn log_search(
    State(engine): Shared,
    Extension(peer): Extension<Peer>,
    Path((pipeline, number, fence)): AttemptPath,
    Query(q): Params,
) -> Result<Response, Fault> {
    viewer(&engine, peer).await?;
    let ask = log_search::Ask::of(&q)?;
    Ok(log_search::search(&engine, &run_ref(&pipeline, &number)?, fence, ask).await?)
}
