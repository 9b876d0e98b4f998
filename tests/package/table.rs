//! The table of figures in README.md, made from `benches/results/*.tsv` and from nothing else.

use std::collections::BTreeMap;
use std::path::Path;

pub const OPEN: &str = "<!-- figures: QD_WRITE=1 cargo test --test package figures -->";
pub const CLOSE: &str = "<!-- /figures -->";

/// Which lines of the results are shown: file, metric, what the row says.
const SHOWN: &[(&str, &str, &str)] = &[
    ("runner", "cells of one run", "1,000 cells of one run, 2 at once"),
    ("runner", "runs of one client", "1,000 runs queued by one client, 2 at once"),
    ("runner", "queueing alone", "of which queueing"),
    ("runner", "client start to first instruction", "client start to first instruction"),
    ("mirror", "cold", "mirror of 2,000 packages, cold"),
    ("mirror", "unchanged", "the same, nothing new"),
    ("mirror", "requests, unchanged", "the same: requests"),
    ("mirror", "bytes of bodies, unchanged", "the same: bytes of bodies"),
    ("history", "engine, empty", "engine with no run, memory"),
    ("history", "engine with 10,000 runs, above empty", "10,000 finished runs: engine, memory above empty"),
    ("history", "the same after its tables were listed", "the same after all tables were listed"),
    ("history", "all 10,000, engine's side", "`get runs` of all 10,000 as JSON, the engine's side"),
    ("history", "all 10,000 as a command", "the same as a command"),
    ("history", "a page of 50, engine's side", "a page of 50, the engine's side"),
    ("history", "a page of 50 as a command", "the same as a command"),
    ("history", "queueing one with 0 runs", "queueing one run, none before"),
    ("history", "queueing one with 10,000 runs", "the same, 10,000 before"),
    ("history", "queueing one with 100,000 runs", "the same, 100,000 before"),
    ("history", "kill -9 to the next answer, 10,000 runs", "kill -9 to the next engine's first answer, 10,000 runs"),
    ("history", "state on disk, 10,000 runs", "the store of 10,000 runs"),
    ("history", "idle for 10 s: wake-ups", "engine idle for 10 s: wake-ups"),
    ("history", "idle for 10 s: writes", "the same: writes"),
    ("log", "last 20 lines", "log of 500 MB: its last 20 lines"),
    ("log", "jump to a time", "the same: to a moment in it"),
    ("log", "a rare string", "the same: a rare string"),
    ("log", "packed size of plain", "the same, packed: of its plain size"),
    ("diff", "two composes told apart", "two composes of 20,000 packages told apart"),
    ("diff", "peak memory, two composes", "the same: peak memory"),
    ("diff", "one compose listed, nothing cached", "one compose of 20,000 packages listed"),
    ("freshness", "a look at all pairs", "16 repositories with 3 replicas looked at with a sample of packages, nothing moved"),
    ("freshness", "requests", "the same: requests"),
    ("freshness", "bytes of bodies", "the same: bytes of bodies"),
    ("console", "start to the first frame", "console: start to the first frame"),
    ("console", "start to the frame with its data", "the same: to the frame with its data"),
    ("console", "key to the first byte", "the same: key to the first byte"),
    ("console", "bytes of a cursor move", "the same: bytes of a cursor move"),
    ("console", "frame, 5000 rows", "the same: a frame with 5,000 runs"),
    ("console", "frame, 50000 rows", "the same: a frame with 50,000 runs"),
    ("console", "resident memory", "the same: memory"),
    ("console", "idle for a minute: wake-ups", "console idle for a minute: wake-ups"),
    ("console", "idle for a minute: bytes to the terminal", "the same: bytes to the terminal"),
    ("console", "idle for a minute: processor time", "the same: processor time"),
    ("console", "1 GB log: key to its last line", "log of 1 GB: key to its last line"),
    ("console", "1 GB log: a rare line half way", "the same: a rare line half way"),
    ("console", "1 GB log: memory that it adds", "the same: memory that it adds"),
    ("cli", "get runs", "`quarterdeck get runs`"),
    ("cli", "a process that does nothing", "a process that does nothing"),
];

/// What the results call ourselves; what follows says in which way (`, packed`).
const OURS: &str = "quarterdeck";

struct Sample {
    subject: String,
    version: String,
    unit: String,
    value: f64,
    load: f64,
    date: String,
}

/// The whole block, markers included: a row for each metric, ours first and what ran beside it behind.
pub fn block(results: &Path) -> String {
    let mut out = format!("{OPEN}\n| what | quarterdeck | beside it | load |\n|---|---|---|---|\n");
    let mut dates = BTreeMap::new();
    for (file, metric, title) in SHOWN {
        let samples = read(&results.join(format!("{file}.tsv")), metric);
        let Some(last) = samples.last() else { continue };
        dates.insert(*file, last.date.clone());
        let mut subjects: Vec<&str> = Vec::new();
        for s in &samples {
            if !subjects.contains(&s.subject.as_str()) {
                subjects.push(&s.subject);
            }
        }
        let (ours, beside): (Vec<&str>, Vec<&str>) = subjects.iter().partition(|s| s.starts_with(OURS));
        let ours: Vec<String> = ours
            .iter()
            .map(|s| {
                let how = s[OURS.len()..].strip_prefix(", ").map(|how| format!(" {how}")).unwrap_or_default();
                format!("{}{how}", spread(&samples, s))
            })
            .collect();
        let beside: Vec<String> = beside
            .iter()
            .map(|s| {
                let version = samples.iter().find(|x| x.subject == *s).map_or("", |x| x.version.as_str());
                let who = if version.is_empty() || version.contains(s) { version.to_owned() } else { format!("{s} {version}") };
                format!("{}: {}", if who.is_empty() { s } else { who.as_str() }, spread(&samples, s))
            })
            .collect();
        let loads = samples.iter().map(|s| s.load).fold((f64::MAX, 0.0f64), |(a, b), l| (a.min(l), b.max(l)));
        out.push_str(&format!("| {title} | {} | {} | {:.1} to {:.1} |\n", ours.join("; "), beside.join("; "), loads.0, loads.1));
    }
    let when: Vec<String> = dates.iter().map(|(file, date)| format!("{file} {date}")).collect();
    out.push_str(&format!(
        "\nMedian (least to most). Measured with quarterdeck {}: {}. Compare within one row only: each was measured in one go.\n{CLOSE}",
        env!("CARGO_PKG_VERSION"),
        when.join(", ")
    ));
    out
}

/// The median of one subject with its unit, and how far the samples lie apart.
fn spread(samples: &[Sample], subject: &str) -> String {
    let of: Vec<&Sample> = samples.iter().filter(|s| s.subject == subject).collect();
    let mut values: Vec<f64> = of.iter().map(|s| s.value).collect();
    values.sort_by(f64::total_cmp);
    let mid = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
    let (least, most) = (values[0], values[values.len() - 1]);
    let apart = if least == most { String::new() } else { format!(" ({} to {})", number(least), number(most)) };
    format!("{} {}{apart}", number(mid), of[0].unit).trim_end().to_owned()
}

fn number(v: f64) -> String {
    match v {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        0.0 => "0".to_owned(),
        v => format!("{v:.2}"),
    }
}

fn read(path: &Path, metric: &str) -> Vec<Sample> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let rows = text.lines().skip(1).filter_map(|line| {
        let f: Vec<&str> = line.split('\t').collect();
        let [subject, version, m, unit, value, load, date, ..] = f[..] else { return None };
        (m == metric).then(|| Sample {
            subject: subject.into(),
            version: version.into(),
            unit: unit.into(),
            value: value.parse().unwrap_or(f64::NAN),
            load: load.parse().unwrap_or(f64::NAN),
            date: date.into(),
        })
    });
    rows.collect()
}
