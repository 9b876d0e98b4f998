//! What every bench needs: sizes, samples, and the TSV in which they are kept. Owns no measurement.
//!
//! `cargo bench` measures at full size with the release profile, and writes `benches/results/NAME.tsv`. With `QD_BENCH=small` (CI: `cargo test
//! --benches`) everything runs once at a size of seconds, is printed, and is written nowhere. Ratios are printed, budgets are compared by the
//! reader: nothing here fails because a machine is slow.
#![allow(dead_code)]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// True for the full size.
pub fn full() -> bool {
    !cfg!(debug_assertions) && std::env::var("QD_BENCH").map_or(true, |v| v != "small")
}

/// `full` or `small`, whichever is asked for.
pub fn size(full_size: usize, small: usize) -> usize {
    if full() { full_size } else { small }
}

/// Samples of one bench program.
pub struct Samples {
    bench: &'static str,
    rows: Vec<Row>,
}

#[derive(Debug, Clone)]
struct Row {
    subject: String,
    metric: String,
    unit: String,
    value: f64,
    version: String,
    load: String,
}

impl Samples {
    pub fn new(bench: &'static str) -> Self {
        println!("{bench}: {}", if full() { "full size" } else { "small size" });
        Self { bench, rows: Vec::new() }
    }

    /// One sample. `subject`: who was measured; `version`: of it.
    pub fn add(&mut self, subject: &str, version: &str, metric: &str, unit: &str, value: f64) {
        let load = std::fs::read_to_string("/proc/loadavg").ok().and_then(|l| l.split(' ').next().map(str::to_owned)).unwrap_or_default();
        println!("  {subject:<24} {metric:<40} {value:>12.3} {unit}   load {load}");
        self.rows.push(Row {
            subject: subject.into(),
            metric: metric.into(),
            unit: unit.into(),
            value,
            version: version.trim().into(),
            load,
        });
    }

    /// Median of what was added under these names; NaN without samples.
    pub fn median(&self, subject: &str, metric: &str) -> f64 {
        let mut v: Vec<f64> = self.rows.iter().filter(|r| r.subject == subject && r.metric == metric).map(|r| r.value).collect();
        v.sort_by(f64::total_cmp);
        match v.len() {
            0 => f64::NAN,
            n if n % 2 == 1 => v[n / 2],
            n => (v[n / 2 - 1] + v[n / 2]) / 2.0,
        }
    }

    /// Prints how two medians compare.
    pub fn ratio(&self, metric: &str, ours: &str, other: &str, budget: &str) {
        let (a, b) = (self.median(ours, metric), self.median(other, metric));
        if a.is_finite() && b.is_finite() {
            println!("  {metric}: {ours} / {other} = {:.2}   (budget: {budget})", a / b);
        }
    }

    /// Writes the TSV where this is the full size.
    pub fn finish(self) {
        if !full() {
            println!("{}: small size, nothing is written", self.bench);
            return;
        }
        let date = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%MZ").to_string();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
        let cpus = std::thread::available_parallelism().map_or(0, usize::from);
        let mut text = String::from("subject\tversion\tmetric\tunit\tvalue\tload1\tdate\tkernel\tcpus\n");
        for r in &self.rows {
            text.push_str(&format!(
                "{}\t{}\t{}\t{}\t{:.4}\t{}\t{date}\t{kernel}\t{cpus}\n",
                r.subject, r.version, r.metric, r.unit, r.value, r.load
            ));
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("benches/results/{}.tsv", self.bench));
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("benches/results");
        std::fs::File::create(&path).and_then(|mut f| f.write_all(text.as_bytes())).expect("the results are written");
        println!("{}: {} samples in {}", self.bench, self.rows.len(), path.display());
    }
}

/// Milliseconds of `work`.
pub fn ms<T>(work: impl FnOnce() -> T) -> (f64, T) {
    let from = Instant::now();
    let value = work();
    (from.elapsed().as_secs_f64() * 1e3, value)
}

/// Seconds of `n` small files that a power cut may not take, by `writers` at once: each written beside, fsynced, renamed, its directory
/// fsynced.
pub fn durable_files_s(dir: &Path, n: usize, writers: usize) -> f64 {
    let dirs: Vec<PathBuf> = (0..writers).map(|w| dir.join(format!("durable.{writers}.{w}"))).collect();
    dirs.iter().for_each(|d| std::fs::create_dir_all(d).expect("a directory"));
    let from = Instant::now();
    std::thread::scope(|scope| {
        for dir in &dirs {
            scope.spawn(move || {
                for i in 0..n / writers {
                    quarterdeck::base::durable::replace(&dir.join(i.to_string()), &[b'x'; 400], 0o600).expect("a durable file");
                }
            });
        }
    });
    from.elapsed().as_secs_f64()
}

/// The version of a program: the first word of `PROGRAM --version` that begins with a digit.
pub fn version(program: &str) -> String {
    let out = std::process::Command::new(program).arg("--version").output();
    let text = out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    text.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit())).unwrap_or("unknown").to_owned()
}
