//! The text format of Prometheus, version 0.0.4: families with help, type and samples. Writes; knows no metric.

use std::fmt::Write;

/// The media type of what `Text` makes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page in the making.
#[derive(Debug, Default)]
pub struct Text {
    out: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Label names with their values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

impl Text {
    /// Begins a family; its samples follow at once, for the format wants them together.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let _ = writeln!(self.out, "# HELP {name} {}\n# TYPE {name} {}", escaped(help, false), kind.word());
        Family { out: &mut self.out, name }
    }

    /// A family of one sample without labels.
    pub fn single(&mut self, name: &'static str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help).sample(&[], value);
    }

    pub fn finish(self) -> String {
        self.out
    }
}

/// The samples of one family.
pub struct Family<'t> {
    out: &'t mut String,
    name: &'static str,
}

impl Family<'_> {
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) {
        self.line("", labels, None, value);
    }

    /// One histogram. `buckets`: upper bound and how many fell into this bucket alone, ascending; `beyond` is above all bounds.
    pub fn histogram(&mut self, labels: Labels<'_>, buckets: &[(i64, u64)], beyond: u64, sum: f64) {
        let mut so_far = 0u64;
        for (bound, n) in buckets {
            so_far = so_far.saturating_add(*n);
            self.line("_bucket", labels, Some(&bound.to_string()), so_far as f64);
        }
        so_far = so_far.saturating_add(beyond);
        self.line("_bucket", labels, Some("+Inf"), so_far as f64);
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, so_far as f64);
    }

    fn line(&mut self, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: f64) {
        let _ = write!(self.out, "{}{suffix}", self.name);
        let all = labels.iter().copied().chain(bound.map(|b| ("le", b)));
        for (i, (name, value)) in all.enumerate() {
            let open = if i == 0 { '{' } else { ',' };
            let _ = write!(self.out, "{open}{name}=\"{}\"", escaped(value, true));
        }
        if !labels.is_empty() || bound.is_some() {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }
}

fn escaped(text: &str, label: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if label => out.push_str("\\\""),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_help_type_and_samples_with_what_they_hold_escaped() {
        let mut t = Text::default();
        t.family("qd_runs_total", Kind::Counter, "Ended\nruns \\ \"all\".")
            .sample(&[("pipeline", "a\"b\\c\nd"), ("verdict", "success")], 3.0);
        t.family("qd_took_seconds", Kind::Histogram, "How long.").histogram(&[("pipeline", "p")], &[(1, 2), (5, 0), (15, 4)], 1, 33.5);
        t.single("qd_up", Kind::Gauge, "One.", 1e18);
        let wanted = concat!(
            "# HELP qd_runs_total Ended\\nruns \\\\ \"all\".\n# TYPE qd_runs_total counter\n",
            "qd_runs_total{pipeline=\"a\\\"b\\\\c\\nd\",verdict=\"success\"} 3\n",
            "# HELP qd_took_seconds How long.\n# TYPE qd_took_seconds histogram\n",
            "qd_took_seconds_bucket{pipeline=\"p\",le=\"1\"} 2\nqd_took_seconds_bucket{pipeline=\"p\",le=\"5\"} 2\n",
            "qd_took_seconds_bucket{pipeline=\"p\",le=\"15\"} 6\nqd_took_seconds_bucket{pipeline=\"p\",le=\"+Inf\"} 7\n",
            "qd_took_seconds_sum{pipeline=\"p\"} 33.5\nqd_took_seconds_count{pipeline=\"p\"} 7\n",
            "# HELP qd_up One.\n# TYPE qd_up gauge\nqd_up 1000000000000000000\n",
        );
        assert_eq!(t.finish(), wanted);
    }
}
