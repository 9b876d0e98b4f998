//! Fields of rows as the tables of `get` show them.

use serde_json::{Map, Value};

use super::out::Out;
use super::times;
use crate::base::duration;
use crate::domain::filter::cell;

pub type Row = Map<String, Value>;

/// How rows are seen: in which zone, from when.
pub struct View<'a> {
    pub out: &'a Out,
    pub now: jiff::Timestamp,
}

impl View<'_> {
    pub fn text(&self, row: &Row, key: &str) -> String {
        cell(row.get(key).unwrap_or(&Value::Null))
    }

    pub fn either(&self, row: &Row, first: &str, second: &str) -> String {
        let text = self.text(row, first);
        if text.is_empty() { self.text(row, second) } else { text }
    }

    pub fn time(&self, row: &Row, key: &str) -> String {
        times::absolute(row.get(key).and_then(Value::as_str), &self.out.zone, self.now)
    }

    pub fn age(&self, row: &Row, key: &str) -> String {
        times::age(row.get(key).and_then(Value::as_str), self.now)
    }

    pub fn duration(&self, row: &Row, key: &str) -> String {
        row.get(key).and_then(Value::as_u64).map(duration::short).unwrap_or_default()
    }

    /// How long its last pass took, or takes so far: a run that still runs has no duration yet.
    pub fn span(&self, row: &Row) -> String {
        let time = |key: &str| row.get(key).and_then(Value::as_str).and_then(|t| t.parse::<jiff::Timestamp>().ok());
        match (self.duration(row, "duration_ms"), time("round_started"), time("ended")) {
            (text, Some(started), None) if text.is_empty() => {
                duration::short(u64::try_from(self.now.duration_since(started).as_millis()).unwrap_or(0))
            }
            (text, ..) => text,
        }
    }

    /// `11h ago #564`, or `N/A` where that never was.
    pub fn ended(&self, row: &Row, key: &str) -> String {
        let (run, at) = (self.text(row, key), self.age(row, &format!("{key}_ended")));
        match run.rsplit_once('#') {
            Some((_, number)) => format!("{at} #{number}"),
            None => "N/A".to_owned(),
        }
    }

    pub fn changes(&self, row: &Row) -> String {
        match self.text(row, "changes").as_str() {
            "none" => "No Changes".to_owned(),
            other => other.to_owned(),
        }
    }

    /// Who it was; where somebody became another user (su, sudo), also whose login it was.
    pub fn who(&self, row: &Row) -> String {
        let number = |name: &str| row.get(name).and_then(Value::as_u64);
        let login = number("login_uid").filter(|login| number("uid").is_some_and(|uid| uid != *login));
        let login = login.map_or_else(String::new, |uid| format!(" (login uid {uid})"));
        let single = row.get("single_person").and_then(Value::as_bool).unwrap_or(false);
        self.text(row, "who") + &login + if single { " (single person)" } else { "" }
    }

    pub fn fault(&self, row: &Row) -> String {
        let (stage, step, detail) = (self.text(row, "failed_stage"), self.text(row, "failed_step"), self.text(row, "detail"));
        let place = if step.is_empty() || step == stage { stage } else { format!("{stage}/{step}") };
        // The runner's detail names the place already.
        if detail.is_empty() { place } else { detail }
    }
}
