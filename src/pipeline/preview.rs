//! `schedule preview`: every start that a clock will make in a span of time, with those that a change of the clocks moves marked.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::Catalog;
use super::model::File;
use super::schedule::{self, Dst, Due, Timer};
use crate::base::instant;

/// Starts of one trigger at most: a minute's interval over a year is more than anybody reads, but a script may want it.
pub const MOST: usize = 600_000;

/// One start to come.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub pipeline: String,
    pub trigger: String,
    pub scheduled_for: Timestamp,
    pub local: String,
    pub dst: Dst,
    /// Where its pattern had it, in local time, if `shift:` has moved it.
    pub from: Option<String>,
    /// What keeps it from starting, as the calendars are written now.
    pub closed: Option<String>,
}

/// The starts of `file` after `from` and up to `to`, in no order.
pub fn rows(file: &File, catalog: &Catalog, from: Timestamp, to: Timestamp) -> Vec<Row> {
    starts(file, catalog, from, |d| d.at <= to, MOST)
}

/// The soonest starts over many files. Whatever comes behind those that are kept is not even computed: each of thousands of files has starts
/// without end.
#[derive(Debug)]
pub struct Soonest {
    from: Timestamp,
    most: usize,
    /// Nothing later than this can be among them.
    until: Timestamp,
    rows: Vec<Row>,
}

impl Soonest {
    /// `most` starts after `from`.
    pub fn new(from: Timestamp, most: usize) -> Self {
        Self { from, most, until: Timestamp::MAX, rows: Vec::new() }
    }

    pub fn add(&mut self, file: &File, catalog: &Catalog) {
        self.rows.extend(starts(file, catalog, self.from, |d| d.at <= self.until, self.most));
        if self.rows.len() > self.most.saturating_mul(4) {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.rows.sort_by(|a, b| (a.scheduled_for, &a.pipeline, &a.trigger).cmp(&(b.scheduled_for, &b.pipeline, &b.trigger)));
        self.rows.truncate(self.most);
        if let Some(last) = self.rows.last().filter(|_| self.rows.len() == self.most) {
            self.until = last.scheduled_for;
        }
    }

    /// Soonest first.
    pub fn finish(mut self) -> Vec<Row> {
        self.settle();
        self.rows
    }
}

fn starts(file: &File, catalog: &Catalog, from: Timestamp, wanted: impl Fn(&Due) -> bool, most: usize) -> Vec<Row> {
    let mut out = Vec::new();
    let mut seen = Vec::new();
    for t in &file.triggers {
        let Some(timer) = Timer::of(t, &catalog.time_zone) else { continue };
        let key = timer.key();
        // The same trigger twice starts one run.
        if seen.contains(&key) {
            continue;
        }
        let Some(ticker) = catalog.ticker(file, t) else { continue };
        let names = file.calendars_of(Some(t));
        let mut calendars: Vec<_> = names.iter().filter_map(|n| Some(catalog.calendars.get(*n)?.as_ref().ok()?.ahead())).collect();
        // Whatever the times: nobody can say that it will be open then.
        let unknown = names.iter().find_map(|n| {
            let why = catalog.calendars.get(*n)?.as_ref().err()?;
            Some(format!("calendar {n} cannot be read: it holds as it was whole last, or as closed: {why}"))
        });
        out.extend(ticker.starts_after(from).take_while(|d| wanted(d)).take(most).map(|d| Row {
            pipeline: file.name.value.clone(),
            trigger: key.clone(),
            scheduled_for: d.at,
            local: schedule::local(d.at, ticker.zone()),
            dst: d.dst,
            from: d.from.map(|f| schedule::local(f, ticker.zone())),
            closed: unknown.clone().or_else(|| calendars.iter_mut().find_map(|c| c.closed(d.at)).map(|c| c.to_string())),
        }));
        seen.push(key);
    }
    out
}

impl Row {
    /// `pipeline trigger scheduled_for local dst`, `moved_from` where `shift:` moved it, and `calendar` where one is closed then.
    pub fn json(&self) -> Map<String, Value> {
        let mut map = Map::new();
        map.insert("pipeline".into(), json!(self.pipeline));
        map.insert("trigger".into(), json!(self.trigger));
        map.insert("scheduled_for".into(), json!(instant::utc(self.scheduled_for)));
        map.insert("local".into(), json!(self.local));
        map.insert("dst".into(), json!(self.dst.as_str()));
        if let Some(from) = &self.from {
            map.insert("moved_from".into(), json!(from));
        }
        if let Some(closed) = &self.closed {
            map.insert("calendar".into(), json!(closed));
        }
        map
    }
}

/// What a mark means, for people.
pub fn words(dst: Dst) -> &'static str {
    match dst {
        Dst::None => "",
        Dst::Gap => "DST: the clock skips this time; first valid minute",
        Dst::Fold => "DST: the clock shows this time twice",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::{Catalog, load};

    #[test]
    fn a_calendar_that_nobody_can_read_is_told_at_each_start() {
        let text = "format: 1\nname: p\ntriggers: [{cron: \"30 2 * * *\", calendar: torn}]\nstages:\n  - name: a\n    run: echo\n";
        let calendars = [("torn".to_owned(), Err("torn.toml:1:1: no zone".to_owned()))].into();
        let catalog = Catalog { calendars, time_zone: "UTC".into(), ..Catalog::default() };
        let from: Timestamp = "2026-10-24T20:00:00Z".parse().unwrap();
        let file = load(text, "p.yml", &catalog).0.unwrap();
        let rows = rows(&file, &catalog, from, from + jiff::SignedDuration::from_hours(72));
        let words = "cannot be read: it holds as it was whole last, or as closed: torn.toml:1:1";
        assert!(rows.len() == 3 && rows.iter().all(|r| r.closed.as_ref().is_some_and(|c| c.contains(words))), "{rows:?}");
    }

    #[test]
    fn the_soonest_of_many_files_are_those_of_all_their_starts() {
        let catalog = Catalog { time_zone: "Europe/Berlin".into(), ..Catalog::default() };
        let text = |n: usize, cron: &str| {
            format!("format: 1\nname: p{n}\ntriggers: [{{cron: \"{cron}\"}}]\nstages:\n  - name: a\n    run: echo\n")
        };
        let crons = ["30 2 * * *", "* * * * *", "0 6 1 1 *", "15 */2 * * mon-fri", "*/20 * * * *"];
        let files: Vec<File> = (0..15).map(|n| load(&text(n, crons[n % 5]), "p.yml", &catalog).0.unwrap()).collect();
        let from: Timestamp = "2026-10-24T20:00:00Z".parse().unwrap();
        for most in [0, 1, 7, 40, 500] {
            let mut soonest = Soonest::new(from, most);
            files.iter().for_each(|f| soonest.add(f, &catalog));
            let mut all: Vec<Row> =
                files.iter().flat_map(|f| rows(f, &catalog, from, from + jiff::SignedDuration::from_hours(24))).collect();
            all.sort_by(|a, b| (a.scheduled_for, &a.pipeline, &a.trigger).cmp(&(b.scheduled_for, &b.pipeline, &b.trigger)));
            all.truncate(most);
            assert_eq!(soonest.finish(), all, "{most}");
        }
    }
}
