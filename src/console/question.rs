//! What a screen may ask of the engine, as data: the same value names the request, its answer's place in the model, and what is in flight.

use serde_json::{Map, Value};

use crate::api::ApiError;
use crate::api::client::encode;
use crate::api::diff::DiffDoc;
use crate::api::log::{AttemptsDoc, LogPage};
use crate::api::page::{About, History};
use crate::api::repo::RepoDoc;
use crate::api::types::{PlanDoc, RepoWhy, Rows, RunDoc, Status, Why};
use crate::domain::promotion;
use crate::domain::run::RunRef;

/// Rows of a long table that a screen asks for at first.
pub const PAGE: usize = 500;
/// Starts to come that the schedule shows.
pub const NEXT: usize = 50;

/// Lines and bytes of the end of a log that stand on a run's page: more than the largest screen has room for is not asked.
const TAIL_LINES: usize = 80;
const TAIL_BYTES: usize = 16 << 10;

/// One row of an answer.
pub type Row = Map<String, Value>;

/// A part of a table that is too long to be held: which rows of those that pass the filter, in the order of the sort.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageAsk {
    pub what: &'static str,
    /// The columns that name a row, separated by blanks.
    pub by: &'static str,
    pub filter: String,
    /// Column and whether backwards; none = as the engine sends it.
    pub sort: Option<(String, bool)>,
    pub offset: usize,
    /// The row that the page is to hold, where it is among them.
    pub around: Option<String>,
    pub limit: usize,
    /// Of a table of a comparison: the two contents.
    pub of: Option<(String, String)>,
}

/// One question. Two equal ones have one answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    Status,
    /// A whole table of `get`, the newest `limit` rows of it.
    Rows {
        what: &'static str,
        limit: usize,
    },
    Page(Box<PageAsk>),
    /// The newest runs of one pipeline, stage by stage.
    History {
        pipeline: String,
        limit: usize,
    },
    Run(RunRef),
    Why(RunRef),
    /// What a start of this pipeline would be.
    Plan(String),
    /// What stands around a run: parameters, approvals, artifacts, tests.
    About(RunRef),
    /// What of a run has been started, for its logs.
    Attempts(RunRef),
    /// The last lines of the log of one attempt.
    Tail {
        run: RunRef,
        fence: u64,
    },
    /// Why a repository is as it is: the engine looks at it first.
    WhyRepo(String),
    /// All about one promotion, with its plan computed for the question.
    Promotion(String),
    /// Two contents compared, by the words for them.
    Diff {
        a: String,
        b: String,
    },
    /// How much differs between the two, without a row of it: a few hundred bytes.
    Brief {
        a: String,
        b: String,
    },
    /// The beginning of one table of that comparison, with what stands above it.
    Changes {
        a: String,
        b: String,
        table: &'static str,
    },
    /// One source package of it: its packages, and what was written between.
    Source {
        a: String,
        b: String,
        name: String,
    },
    /// What stands around a repository: its past, snapshots, room, and who uses it.
    Repo(String),
}

/// What the engine said.
#[derive(Debug, Clone)]
pub enum Answer {
    Status(Box<Status>),
    Rows(Rows),
    Run(Box<RunDoc>),
    Why(Why),
    Plan(Box<PlanDoc>),
    About(Box<About>),
    History(Box<History>),
    Attempts(Box<AttemptsDoc>),
    Log(Box<LogPage>),
    WhyRepo(Box<RepoWhy>),
    /// As the engine wrote it: `GET /v1/promotions/ID`.
    Promotion(Box<Row>),
    Diff(Box<DiffDoc>),
    Repo(Box<RepoDoc>),
}

/// Tables that grow for as long as a site lives.
pub fn is_long(what: &str) -> bool {
    matches!(what, "runs" | "audit" | "decisions" | "occurrences" | "versions" | "sources" | "packages")
}

/// Whether rows of `what` move with those of `table`: what the engine derives from runs does.
fn follows(what: &str, table: &str) -> bool {
    what == table
        || (table == "runs" && matches!(what, "queue" | "executors" | "pipelines" | "audit" | "decisions"))
        || (table == "schedule" && what == "due")
        || (matches!(table, "promotions" | "holds") && matches!(what, "audit" | "decisions" | "versions"))
        || (matches!(table, "runs" | "repos") && what == "versions")
        || (matches!(table, "repos" | "acks") && matches!(what, "audit" | "decisions"))
}

/// Whether a comparison of these words is another one once rows of `table` have moved: what a fingerprint names does not change.
fn moves(a: &str, b: &str, table: &str) -> bool {
    matches!(table, "promotions" | "repos") && (a.contains('@') || b.contains('@'))
}

/// Whether an id of `repos` or `mirrors` is about this repository.
fn names(id: &str, repo: &str) -> bool {
    id.split(' ').next() == Some(repo)
}

impl Question {
    /// The comparison of both contents of a promotion, by their fingerprints: the answer never changes.
    pub fn of_promotion(doc: &Row) -> Option<Self> {
        let changes = doc.get("changes")?;
        let text = |field: &str| changes.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (a, b) = (text("from_fp"), text("to_fp"));
        (!a.is_empty() && !b.is_empty() && a != b).then_some(Self::Diff { a, b })
    }

    /// The request's path.
    pub fn path(&self) -> String {
        match self {
            Self::Status => "/v1/status".to_owned(),
            // How long it is in all is asked of what may be longer than a page.
            Self::Rows { what, limit } if is_long(what) => format!("/v1/get/{what}?limit={limit}&count=1"),
            Self::Rows { what, limit } => format!("/v1/get/{what}?limit={limit}"),
            Self::Page(p) => {
                let table = match &p.of {
                    Some((a, b)) => format!("/v1/diff/{}?a={}&b={}&", p.what, encode(a), encode(b)),
                    None => format!("/v1/get/{}?", p.what),
                };
                let mut path = format!("{table}limit={}&offset={}&filter={}", p.limit, p.offset, encode(&p.filter));
                if let Some((column, backwards)) = &p.sort {
                    path.push_str(&format!("&sort={}{}", if *backwards { "-" } else { "" }, encode(column)));
                }
                if let Some(id) = &p.around {
                    path.push_str(&format!("&around={}&by={}", encode(id), encode(p.by)));
                }
                path
            }
            Self::History { pipeline, limit } => format!("/v1/history/{pipeline}?limit={limit}"),
            Self::Run(run) => format!("/v1/runs/{}/{}", run.pipeline, run.number),
            Self::Why(run) => format!("/v1/why/{}/{}", run.pipeline, run.number),
            Self::WhyRepo(repo) => format!("/v1/why/{repo}"),
            Self::Promotion(id) => format!("/v1/promotions/{}", encode(id)),
            Self::Diff { a, b } => format!("/v1/diff?a={}&b={}", encode(a), encode(b)),
            Self::Brief { a, b } => format!("/v1/diff?a={}&b={}&of=sources&limit=0", encode(a), encode(b)),
            Self::Changes { a, b, table } => format!("/v1/diff/{table}?a={}&b={}&limit={PAGE}&count=1", encode(a), encode(b)),
            Self::Source { a, b, name } => format!("/v1/diff?a={}&b={}&source={}", encode(a), encode(b), encode(name)),
            Self::Repo(name) => format!("/v1/repos/{}", encode(name)),
            Self::Plan(pipeline) => format!("/v1/plan/{pipeline}"),
            Self::About(run) => format!("/v1/about/{}/{}", run.pipeline, run.number),
            Self::Attempts(run) => format!("/v1/attempts/{}/{}", run.pipeline, run.number),
            Self::Tail { run, fence } => {
                format!("/v1/log/{}/{}/{fence}?at=tail&lines={TAIL_LINES}&bytes={TAIL_BYTES}", run.pipeline, run.number)
            }
        }
    }

    /// Reads the body of the answer.
    pub fn read(&self, body: &[u8]) -> Result<Answer, ApiError> {
        fn parse<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
            serde_json::from_slice(body).map_err(|e| {
                let help = "engine and console may be of different versions: quarterdeck engine stop, and open the console again";
                ApiError::failed(format!("the engine's answer cannot be read: {e}"), help)
            })
        }
        Ok(match self {
            Self::Status => Answer::Status(Box::new(parse(body)?)),
            Self::Rows { .. } | Self::Page(_) | Self::Changes { .. } => Answer::Rows(parse(body)?),
            Self::History { .. } => Answer::History(Box::new(parse(body)?)),
            Self::About(_) => Answer::About(Box::new(parse(body)?)),
            Self::Run(_) => Answer::Run(Box::new(parse(body)?)),
            Self::Why(_) => Answer::Why(parse(body)?),
            Self::Plan(_) => Answer::Plan(Box::new(parse(body)?)),
            Self::Attempts(_) => Answer::Attempts(Box::new(parse(body)?)),
            Self::Tail { .. } => Answer::Log(Box::new(parse(body)?)),
            Self::WhyRepo(_) => Answer::WhyRepo(Box::new(parse(body)?)),
            Self::Promotion(_) => Answer::Promotion(Box::new(parse(body)?)),
            Self::Diff { .. } | Self::Brief { .. } | Self::Source { .. } => Answer::Diff(Box::new(parse(body)?)),
            Self::Repo(_) => Answer::Repo(Box::new(parse(body)?)),
        })
    }

    /// Of a comparison: how much differs, without its rows.
    pub fn brief(self) -> Option<Self> {
        match self {
            Self::Diff { a, b } => Some(Self::Brief { a, b }),
            _ => None,
        }
    }

    /// Whether a change of this table, or of this row of it, makes the answer old.
    pub fn touched_by(&self, table: &str, id: &str) -> bool {
        match self {
            Self::Status => matches!(table, "runs" | "control" | "armed" | "acks" | "repos"),
            Self::Rows { what, .. } => follows(what, table),
            Self::Page(p) => match &p.of {
                Some((a, b)) => moves(a, b, table),
                None => follows(p.what, table),
            },
            Self::History { pipeline, .. } => table == "runs" && id.rsplit_once('#').is_some_and(|(p, _)| p == pipeline),
            // Nobody tells when a file moves: it is read again at every key, and judged again by the engine.
            // A look is asked for by a person, each time anew.
            // What a fingerprint names does not change; another word for a content moves with its pointer.
            Self::Plan(_) | Self::WhyRepo(_) => false,
            Self::Diff { a, b } | Self::Brief { a, b } => table == "promotions" && (a.contains('@') || b.contains('@')),
            Self::Changes { a, b, .. } | Self::Source { a, b, .. } => moves(a, b, table),
            Self::Repo(name) => matches!(table, "holds" | "runs") || (matches!(table, "repos" | "mirrors") && names(id, name)),
            Self::Promotion(name) => {
                let own = || id.split_once('#').is_some_and(|(p, _)| promotion::RUNS.contains(&p));
                (table == "promotions" && id == name) || table == "holds" || (table == "runs" && own())
            }
            Self::Run(run) | Self::Why(run) | Self::About(run) | Self::Attempts(run) | Self::Tail { run, .. } => {
                table == "runs" && id == run.to_string()
            }
        }
    }
}
