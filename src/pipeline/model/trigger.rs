//! `triggers:` to their typed forms: what fires each, and what may stand beside that.

use super::fields::Fields;
use super::*;
use crate::pipeline::diagnostic::Sink;
use crate::pipeline::schema::{self, keys};

/// How long a start that was missed may still be made up, where a file does not say.
const WITHIN: Span = Span::from_secs(86_400);
/// Time between two looks at a repository.
const GIT_INTERVAL: Span = Span::from_secs(300);

/// Keys that have a meaning beside some of what fires a trigger only.
const BESIDE: [(&str, &[&str]); 10] = [
    ("anchor", &["every"]),
    ("stage", &["upstream"]),
    ("on", &["upstream"]),
    ("timezone", &["cron", "every"]),
    ("jitter", &["cron", "every"]),
    ("catch_up", &["cron", "every"]),
    ("ref", &["git"]),
    ("interval", &["git"]),
    ("calendar", &["cron", "every", "upstream", "git"]),
    ("shift", &["cron", "every"]),
];

pub(super) fn build(node: &Node, sink: &mut Sink<'_>) -> Option<Trigger> {
    let f = Fields::new(node, &keys::TRIGGER);
    if f.later() {
        return None;
    }
    let one = starter(&f, sink)?;
    for (key, belongs) in BESIDE {
        if f.get(key).is_some() && !belongs.contains(&one) {
            sink.error(
                f.key_at(key),
                "trigger.key",
                format!("`{key}` has no meaning beside `{one}`"),
                format!("it belongs to {}", belongs.join(" and ")),
            );
        }
    }
    let kind = match one {
        "cron" => TriggerKind::Cron { pattern: f.text("cron")? },
        "every" => TriggerKind::Every {
            every: f.span("every")?.value,
            anchor: f
                .text("anchor")
                .and_then(|t| schema::moment(&t.value).ok())
                .unwrap_or_else(|| DateTime::constant(1970, 1, 5, 0, 0, 0, 0)),
        },
        "upstream" => TriggerKind::Upstream {
            pipeline: f.text("upstream")?,
            stage: f.text("stage"),
            on: match f.text("on").as_ref().map(|t| t.value.as_str()) {
                Some("failure") => UpstreamOn::Failure,
                Some("any") => UpstreamOn::Any,
                _ => UpstreamOn::Success,
            },
        },
        "git" => git(&f, sink)?,
        _ => {
            if !f.flag("manual") {
                sink.error(
                    f.key_at("manual"),
                    "trigger.kind",
                    "`manual: false` says nothing",
                    "write `manual: true`, or remove the trigger",
                );
            }
            TriggerKind::Manual
        }
    };
    let catch_up = catch_up(&f, sink);
    let jitter = f.span("jitter").map_or(Span::default(), |s| s.value);
    Some(Trigger {
        at: f.at,
        kind,
        timezone: f.text("timezone"),
        jitter,
        catch_up: At::new(catch_up, f.key_at("catch_up")),
        calendars: f.texts("calendar"),
        shift: f.get("shift").map(|n| n.at),
        marks: marks(&f),
    })
}

/// The one key that says what fires a trigger.
fn starter(f: &Fields<'_>, sink: &mut Sink<'_>) -> Option<&'static str> {
    let starters: Vec<&'static str> = ["cron", "every", "upstream", "git", "manual"].into_iter().filter(|k| f.get(k).is_some()).collect();
    match starters.as_slice() {
        [one] => Some(*one),
        [] => {
            sink.error(
                f.at,
                "trigger.kind",
                "the trigger does not say what fires it",
                "add `cron:`, `every:`, `upstream:`, `git:` or `manual: true`",
            );
            None
        }
        many => {
            sink.error(
                f.key_at(many[1]),
                "trigger.kind",
                format!("the trigger has both `{}` and `{}`", many[0], many[1]),
                "make two triggers of it: each begins with `- `",
            );
            None
        }
    }
}

fn catch_up(f: &Fields<'_>, sink: &mut Sink<'_>) -> CatchUp {
    let c = f.map("catch_up", &keys::CATCH_UP);
    let within = c.and_then(|c| c.span("within")).map_or(WITHIN, |s| s.value);
    let policy = c.and_then(|c| c.text("policy")).map(|t| t.value);
    if let Some(c) = c.filter(|c| c.get("max").is_some() && policy.as_deref() != Some("all")) {
        sink.error(c.key_at("max"), "trigger.key", "`max` has a meaning only with `policy: all`", "remove it, or write `policy: all`");
    }
    match policy.as_deref() {
        Some("once") => CatchUp::Once { within },
        Some("all") => CatchUp::All { within, max: c.and_then(|c| c.number("max")).unwrap_or(10) },
        _ => CatchUp::Skip,
    }
}

fn marks(f: &Fields<'_>) -> Marks {
    let inner = f.map("git", &keys::GIT);
    let of = inner.as_ref().unwrap_or(f);
    let at = |fields: &Fields<'_>, key: &str| fields.get(key).map_or(f.at, |n| n.at);
    let interval = if f.get("every").is_some() { at(f, "every") } else { at(of, "interval") };
    Marks { interval, anchor: at(f, "anchor"), jitter: at(f, "jitter"), reference: at(of, "ref") }
}

/// `git: URL` with `ref` and `interval` beside it, or all three inside.
fn git(f: &Fields<'_>, sink: &mut Sink<'_>) -> Option<TriggerKind> {
    let inner = f.map("git", &keys::GIT);
    if inner.is_some() {
        for key in ["ref", "interval"] {
            if f.get(key).is_some() {
                sink.error(
                    f.key_at(key),
                    "trigger.key",
                    format!("`{key}` belongs into `git: {{…}}` here"),
                    "move it inside, or write `git: URL`",
                );
            }
        }
    }
    let of = inner.as_ref().unwrap_or(f);
    let url = if inner.is_some() { of.text("url")? } else { f.text("git")? };
    Some(TriggerKind::Git {
        url,
        reference: of.text("ref").map_or_else(|| "HEAD".to_owned(), |t| t.value),
        interval: of.span("interval").map_or(GIT_INTERVAL, |s| s.value),
    })
}
