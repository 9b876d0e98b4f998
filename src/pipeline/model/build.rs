//! Tree to typed file. Slips that need more than one key to see are reported here and in the files beside it; single keys were checked by the schema.

use super::fields::{Fields, items, text};
use super::*;
use crate::base::size;
use crate::pipeline::diagnostic::Sink;
use crate::pipeline::reader::Kind;
use crate::pipeline::schema::keys;

/// `None` when name or stages cannot be made out at all.
pub fn build(root: &Node, path: &str, sha256: String, sink: &mut Sink<'_>) -> Option<File> {
    let f = Fields::new(root, &keys::FILE);
    let name = f.text("name")?;
    let mut stages = Vec::new();
    if matches!(f.get("stages")?.kind, Kind::Seq(_)) {
        for node in f.items("stages") {
            stages.extend(stage::build(node, sink));
        }
    }
    if stages.is_empty() && sink.errors() == 0 {
        sink.error(
            f.key_at("stages"),
            "stage.none",
            "the pipeline has no stages",
            "add one: `- name: hello`, and `run: echo hello` below it",
        );
    }
    let triggers = f.items("triggers").iter().filter_map(|n| trigger::build(n, sink)).collect();
    let parameters = parameter::all(f.get("parameters"), sink);
    Some(File {
        path: path.to_owned(),
        sha256,
        name,
        description: f.text("description").map(|t| t.value).unwrap_or_default(),
        triggers,
        parameters,
        options: options(f.map("options", &keys::OPTIONS)),
        env: f.pairs("env"),
        secrets: f.get("secrets").map(|n| step::secrets(items(n))),
        stages,
        post: step::post(f.map("post", &keys::POST), sink),
        inputs: stage::inputs(f.items("inputs")),
        views: f.texts("views"),
        labels: labels(f.map("labels", &keys::LABELS)),
        umbrella: f.flag("umbrella"),
        run_name: f.get("run_name").cloned(),
        danger: f.level("danger"),
        priority: f.number("priority").unwrap_or(0),
        calendars: f.texts("calendar"),
    })
}

/// `canary:KIND`, `formula:NAME`, `image:NAME` and `iso:NAME`, sorted, each once.
fn labels(f: Option<Fields<'_>>) -> Vec<String> {
    let Some(f) = f else { return Vec::new() };
    let of = |key: &'static str| f.texts(key).into_iter().map(move |t| format!("{key}:{}", t.value)).collect::<Vec<_>>();
    let mut all = [of("canary"), of("formula"), of("image"), of("iso")].concat();
    all.sort();
    all.dedup();
    all
}

fn options(f: Option<Fields<'_>>) -> Options {
    let Some(f) = f else { return Options::default() };
    let keep = f.map("keep", &keys::KEEP);
    let log = f.map("log", &keys::LOG);
    Options {
        concurrency: f.map("concurrency", &keys::CONCURRENCY).and_then(|c| {
            Some(Concurrency {
                group: c.text("group")?.value,
                limit: c.number("limit").unwrap_or(1),
                on_conflict: match c.text("on_conflict").as_ref().map(|t| t.value.as_str()) {
                    Some("cancel-older") => OnConflict::CancelOlder,
                    Some("refuse") => OnConflict::Refuse,
                    _ => OnConflict::Queue,
                },
            })
        }),
        timeout: f.span("timeout").map(|s| s.value),
        keep_runs: keep.and_then(|k| k.number("runs")),
        keep_days: keep.and_then(|k| k.number("days")),
        pin: keep.filter(|k| k.get("pin").is_some()).map(|k| k.texts("pin").into_iter().map(|t| t.value).collect()),
        log_max: log.and_then(|l| l.text("max")).and_then(|t| size::parse(&t.value)),
        kill_on_limit: log.and_then(|l| l.text("on_limit")).is_some_and(|t| t.value == "kill"),
        errors: log.map(|l| l.pairs("errors")).unwrap_or_default().into_iter().filter_map(|(w, n)| Some((w, text(&n)?))).collect(),
        harmless: log.map(|l| l.texts("harmless")).unwrap_or_default(),
        grace: f.span("grace").map(|s| s.value),
        interpreter: f.words("interpreter"),
    }
}
