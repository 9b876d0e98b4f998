//! Tree to typed file. Slips that need more than one key to see are reported here; single keys were checked by the schema.

use super::fields::{Fields, items, text};
use super::*;
use crate::base::size;
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::reader::Kind;
use crate::pipeline::schema::{self, keys};

const DAY: Span = Span::from_secs(86_400);
/// Time between two looks at a repository.
const GIT_INTERVAL: Span = Span::from_secs(300);
/// A post step ends sooner than a step: it stands between the run and its verdict.
pub const POST_TIMEOUT: Span = Span::from_secs(300);

/// `None` when name or stages cannot be made out at all.
pub fn build(root: &Node, path: &str, sha256: String, sink: &mut Sink<'_>) -> Option<File> {
    let f = Fields::new(root, &keys::FILE);
    let name = f.text("name")?;
    let mut stages = Vec::new();
    if matches!(f.get("stages")?.kind, Kind::Seq(_)) {
        for node in f.items("stages") {
            stages.extend(stage(node, sink));
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
    let triggers = f.items("triggers").iter().filter_map(|n| trigger(n, sink)).collect();
    let parameters = match f.get("parameters").map(|n| &n.kind) {
        Some(Kind::Map(entries)) => entries.iter().filter_map(|(w, n)| parameter(w, n, sink)).collect(),
        _ => Vec::new(),
    };
    Some(File {
        path: path.to_owned(),
        sha256,
        name,
        description: f.text("description").map(|t| t.value).unwrap_or_default(),
        triggers,
        parameters,
        options: options(f.map("options", &keys::OPTIONS)),
        env: f.pairs("env"),
        secrets: f.get("secrets").map(|n| secrets(items(n))),
        stages,
        post: post(f.map("post", &keys::POST), sink),
        inputs: inputs(f.items("inputs")),
        views: f.texts("views").into_iter().map(|t| t.value).collect(),
        labels: labels(f.map("labels", &keys::LABELS)),
        umbrella: f.flag("umbrella"),
        run_name: f.get("run_name").cloned(),
        danger: level(&f),
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

fn level(f: &Fields<'_>) -> Option<At<Level>> {
    let t = f.text("danger")?;
    Some(At::new(t.value.parse().ok()?, t.at))
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

fn trigger(node: &Node, sink: &mut Sink<'_>) -> Option<Trigger> {
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
    let within = c.and_then(|c| c.span("within")).map_or(DAY, |s| s.value);
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

pub(super) fn parameter(name: &Word, node: &Node, sink: &mut Sink<'_>) -> Option<Parameter> {
    let f = Fields::new(node, &keys::PARAMETER);
    let ty = f.text("type")?;
    for (key, types) in [
        ("choices", &["choice"][..]),
        ("pattern", &["string"]),
        ("min", &["int", "string"]),
        ("max", &["int", "string"]),
        ("of", &["run"]),
        ("result", &["run"]),
    ] {
        if f.get(key).is_some() && !types.contains(&ty.value.as_str()) {
            sink.error(
                f.key_at(key),
                "param.key",
                format!("`{key}` has no meaning for a parameter of type {}", ty.value),
                format!("it belongs to type {}", types.join(" or ")),
            );
        }
    }
    let (min, max) = (f.number("min"), f.number("max"));
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        sink.error(f.key_at("max"), "param.range", format!("`max` {max} is below `min` {min}"), "swap them");
    }
    let ty = match ty.value.as_str() {
        "bool" => ParamType::Bool,
        "int" => ParamType::Int { min, max },
        "choice" => {
            let choices = f.texts("choices");
            if choices.is_empty() {
                sink.error(ty.at, "param.choices", format!("parameter `{}` has no choices", name.text), "add `choices: [a, b]`");
            }
            for (i, c) in choices.iter().enumerate() {
                if choices[..i].iter().any(|d| d.value == c.value) {
                    sink.error(c.at, "param.choices", format!("choice `{}` stands twice", show(&c.value)), "keep one");
                }
            }
            ParamType::Choice(choices.into_iter().map(|c| c.value).collect())
        }
        "run" => ParamType::Run {
            of: f.text("of"),
            result: match f.text("result").as_ref().map(|t| t.value.as_str()) {
                Some("success") => RunResult::Success,
                Some("failure") => RunResult::Failure,
                _ => RunResult::Any,
            },
        },
        _ => ParamType::Text { pattern: f.text("pattern").map(|t| t.value), min, max },
    };
    // An empty text is a value: `default: ""`.
    let default = f.entries.iter().find(|(w, _)| w.text == "default").and_then(|(_, n)| text(n));
    Some(Parameter { name: name.clone(), ty, default, description: f.text("description").map(|t| t.value).unwrap_or_default() })
}

fn secrets(nodes: &[Node]) -> Vec<SecretUse> {
    nodes
        .iter()
        .filter_map(|n| match &n.kind {
            Kind::Map(_) => {
                let f = Fields::new(n, &keys::SECRET);
                Some(SecretUse { name: f.text("name")?, env: f.flag("env") })
            }
            _ => Some(SecretUse { name: text(n)?, env: false }),
        })
        .collect()
}

fn artifacts(nodes: &[Node], sink: &mut Sink<'_>) -> Vec<ArtifactUse> {
    let one = |n: &Node, sink: &mut Sink<'_>| {
        let Kind::Map(_) = &n.kind else { return Some(ArtifactUse { path: text(n)?, tests: None }) };
        let f = Fields::new(n, &keys::ARTIFACT);
        let report = f.text("type").is_some_and(|t| t.value == "junit");
        for key in ["failures", "flaky_after"] {
            if !report && f.get(key).is_some() {
                sink.error(f.key_at(key), "artifact.type", format!("`{key}` is about test reports"), "add `type: junit`, or leave it out");
            }
        }
        let note_only = f.text("failures").is_some_and(|t| t.value == "note");
        Some(ArtifactUse { path: f.text("path")?, tests: report.then(|| TestsUse { flaky_after: f.number("flaky_after"), note_only }) })
    };
    nodes.iter().filter_map(|n| one(n, sink)).collect()
}

fn inputs(nodes: &[Node]) -> Vec<InputUse> {
    let one = |n: &Node| {
        let f = Fields::new(n, &keys::INPUT);
        Some(InputUse { from: f.text("from")?, path: f.text("path")?, to: f.text("to") })
    };
    nodes.iter().filter_map(one).collect()
}

fn locks(nodes: &[Node]) -> Vec<LockUse> {
    nodes
        .iter()
        .filter_map(|n| match &n.kind {
            Kind::Map(_) => {
                let f = Fields::new(n, &keys::LOCK);
                let mode = f.text("mode");
                let shared = mode.as_ref().is_some_and(|m| m.value == "shared");
                let slots_at = f.key_at("slots");
                Some(LockUse {
                    name: f.text("name")?,
                    mode: if shared { LockMode::Shared } else { LockMode::Exclusive },
                    said: mode.is_some(),
                    slots: At::new(f.number("slots").unwrap_or(1), slots_at),
                })
            }
            _ => Some(LockUse { name: text(n)?, mode: LockMode::Exclusive, said: false, slots: At::new(1, n.at) }),
        })
        .collect()
}

fn post(f: Option<Fields<'_>>, sink: &mut Sink<'_>) -> Post {
    let mut parts = Vec::new();
    let Some(f) = f else { return Post::default() };
    // `always` last: it is where the others' files are cleaned up.
    for (key, when) in
        [("success", PostWhen::Success), ("failure", PostWhen::Failure), ("fixed", PostWhen::Fixed), ("always", PostWhen::Always)]
    {
        let steps: Vec<Step> = f.items(key).iter().filter_map(|n| step(&Fields::new(n, &keys::POST_STEP), true, sink)).collect();
        unique(steps.iter(), sink);
        if !steps.is_empty() {
            parts.push((when, steps));
        }
    }
    Post { parts }
}

/// What a mapping with `run` or `uses` does.
fn action(f: &Fields<'_>, noun: &str, sink: &mut Sink<'_>) -> Option<StepAction> {
    match (f.get("run"), f.text("uses")) {
        (Some(_), Some(_)) => {
            sink.error(
                f.key_at("uses"),
                "step.action",
                format!("{noun} has both `run` and `uses`"),
                "keep one; make two steps if both are needed",
            );
            None
        }
        (Some(run), None) => {
            if f.get("with").is_some() {
                sink.error(
                    f.key_at("with"),
                    "step.action",
                    "`with` has no meaning beside `run`",
                    "give values by `env:`, or use a step kind by `uses:`",
                );
            }
            Some(StepAction::Run(run.clone()))
        }
        (None, Some(kind)) => {
            let with = f.pairs("with");
            if f.get("interpreter").is_some() {
                sink.error(f.key_at("interpreter"), "step.action", "`interpreter` has no meaning beside `uses`", "remove it");
            }
            Some(StepAction::Uses { kind, with })
        }
        (None, None) => {
            if !f.later() {
                sink.error(
                    f.at,
                    "step.action",
                    format!("{noun} does nothing: it has neither `run` nor `uses`"),
                    "add `run:` with a script, or `uses:` with a step kind",
                );
            }
            None
        }
    }
}

fn step(f: &Fields<'_>, is_post: bool, sink: &mut Sink<'_>) -> Option<Step> {
    let of_post = |key| is_post.then(|| f.get(key)).flatten();
    let action = match (of_post("pin"), of_post("notify").and_then(text)) {
        (Some(run), _) => super::child::pin(f, run, sink),
        (None, Some(to)) => super::child::notify(f, to, sink),
        (None, None) => action(f, if is_post { "the post step" } else { "the step" }, sink)?,
    };
    let name = f.text("name").unwrap_or_else(|| {
        let name = match &action {
            StepAction::Uses { kind, .. } => kind.value.clone(),
            StepAction::Pin(_) => "pin".to_owned(),
            StepAction::Notify { to, .. } => format!("notify {}", to.value),
            StepAction::Build(b) => b.pipeline.value.clone(),
            StepAction::Run(script) => {
                let first =
                    script.text().unwrap_or("").lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#')).unwrap_or("run");
                first.chars().take(32).collect::<String>().trim().to_owned()
            }
        };
        At::new(name, f.at)
    });
    Some(Step {
        name,
        at: f.at,
        action,
        env: f.pairs("env"),
        secrets: secrets(f.items("secrets")),
        artifacts: artifacts(f.items("artifacts"), sink),
        timeout: f.span("timeout").or_else(|| is_post.then(|| At::new(POST_TIMEOUT, f.at))),
        stall: if is_post { None } else { f.span("stall") },
        grace: f.span("grace").map(|s| s.value),
        interpreter: f.words("interpreter"),
        daemon: !is_post && f.text("daemon").is_some_and(|d| d.value == "allowed"),
    })
}

fn unique<'a>(steps: impl Iterator<Item = &'a Step> + Clone, sink: &mut Sink<'_>) {
    for (i, s) in steps.clone().enumerate() {
        if let Some(first) = steps.clone().take(i).find(|t| t.name.value == s.name.value) {
            sink.error_with(
                s.name.at,
                "step.name",
                format!("two steps are named `{}`", show(&s.name.value)),
                "give each a name of its own: logs are found by it",
                (first.name.at, "first here"),
            );
        }
    }
}

/// The steps of a stage that lists them.
fn listed(f: &Fields<'_>, sink: &mut Sink<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for key in ["run", "uses", "with"] {
        if f.get(key).is_some() {
            sink.error_with(
                f.key_at(key),
                "step.action",
                format!("the stage has `steps` and also `{key}`"),
                "move it into the steps, or is the indent of this line lost?",
                (f.key_at("steps"), "its steps"),
            );
        }
    }
    for node in f.items("steps") {
        steps.extend(step(&Fields::new(node, &keys::STEP), false, sink));
    }
    if let Some(last) = steps.last_mut() {
        last.artifacts.extend(artifacts(f.items("artifacts"), sink));
    }
    if f.items("steps").is_empty() {
        sink.error(
            f.key_at("steps"),
            "step.action",
            "the list of steps is empty",
            "add one: `- name: hello`, and `run: echo hello` below it",
        );
    }
    // That one lacks its name is said already.
    unique(steps.iter().filter(|s| s.name.at != s.at), sink);
    steps
}

fn stage(node: &Node, sink: &mut Sink<'_>) -> Option<Stage> {
    let f = Fields::new(node, &keys::STAGE);
    let name = f.text("name")?;
    let short = f.get("steps").is_none();
    let mut steps = Vec::new();
    let approve = f.map("approve", &keys::APPROVE).and_then(|a| super::approve::build(&a, &f, sink));
    if f.get("approve").is_some() {
        approve.as_ref()?;
    } else if let Some(node) = f.get("build") {
        steps.push(super::child::build(node, &f, &name, sink)?);
    } else if short {
        if let Some(action) = action(&f, "the stage", sink) {
            steps.push(Step {
                name: name.clone(),
                at: f.at,
                action,
                env: Vec::new(),
                secrets: Vec::new(),
                artifacts: artifacts(f.items("artifacts"), sink),
                timeout: None,
                stall: None,
                grace: None,
                interpreter: None,
                daemon: false,
            });
        }
    } else {
        steps = listed(&f, sink);
    }
    if steps.is_empty() && approve.is_none() && !f.later() {
        return None;
    }
    let retry = f.map("retry", &keys::RETRY).and_then(|r| {
        let on = r.texts("on").iter().filter_map(|t| schema::retry_on(&t.value)).collect();
        let delay = r.span("delay").map_or(Span::default(), |s| s.value);
        Some(At::new(Retry { attempts: r.number("attempts")?, delay, backoff: r.number("backoff").unwrap_or(1.0), on }, f.key_at("retry")))
    });
    Some(Stage {
        short,
        step_like: f.has_only(&keys::STEP),
        when: f.get("when").cloned(),
        needs: f.get("needs").map(|_| f.texts("needs")),
        matrix: f.map("matrix", &keys::MATRIX).map(|m| matrix(&m, f.key_at("matrix"))),
        reads: f.texts("reads"),
        writes: f.texts("writes"),
        locks: locks(f.items("locks")),
        allow_failure: f.flag("allow_failure"),
        danger: level(&f),
        idempotent: f.flag("idempotent"),
        on_lost_retry: f.text("on_lost").filter(|t| t.value == "retry").map(|t| t.at),
        uninterruptible: f.flag("uninterruptible"),
        retry,
        timeout: f.span("timeout"),
        stall: f.span("stall"),
        grace: f.span("grace").map(|s| s.value),
        env: f.pairs("env"),
        secrets: secrets(f.items("secrets")),
        interpreter: f.words("interpreter"),
        daemon: f.text("daemon").is_some_and(|d| d.value == "allowed"),
        inputs: inputs(f.items("inputs")),
        steps,
        post: post(f.map("post", &keys::POST), sink),
        approve,
        name,
    })
}

fn matrix(f: &Fields<'_>, at: Loc) -> Matrix {
    let cells = |key: &str| {
        f.items(key)
            .iter()
            .map(|n| {
                let c = Fields::new(n, &keys::CELL);
                let values =
                    c.entries.iter().filter(|(w, _)| keys::CELL.key(&w.text).is_none()).filter_map(|(w, n)| Some((w.clone(), text(n)?)));
                At::new(values.collect(), c.at)
            })
            .collect()
    };
    let keys = f.entries.iter().filter(|(w, _)| keys::MATRIX.key(&w.text).is_none());
    Matrix {
        at,
        keys: keys.map(|(w, n)| (w.clone(), items(n).iter().filter_map(text).collect())).collect(),
        include: cells("include"),
        exclude: cells("exclude"),
        max_parallel: f.number("max_parallel"),
        fail_fast: f.flag("fail_fast"),
    }
}
