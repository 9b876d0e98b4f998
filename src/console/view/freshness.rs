//! How fresh a repository or one of its places is, in words and in a light; old looks are no good news.

use super::{when, word};
use crate::console::model::Model;
use crate::console::model::list::Row;
use crate::theme::Role;

/// The engine looks every five minutes: beyond twice of it an answer is old, beyond ten times it says nothing.
const BUDGET_S: i64 = 300;

/// How old the look is that a row stands on, in budgets.
fn late(model: &Model, row: &Row, field: &str) -> Option<i64> {
    when::instant(row, field).map(|t| model.now.duration_since(t).as_secs() / BUDGET_S)
}

/// The role of a light; old lights are no lights.
pub fn light(model: &Model, row: &Row) -> (&'static str, Role) {
    let looked = late(model, row, "checked").or_else(|| late(model, row, "verified"));
    let role = match word::text(row, "light").as_str() {
        "good" => Role::Good,
        "amber" => Role::Warn,
        "red" => Role::Bad,
        _ => Role::Unknown,
    };
    match looked {
        _ if role == Role::Bad => ("", role),
        None => ("", if role == Role::Good { Role::Unknown } else { role }),
        Some(n) if n >= 10 => ("?", Role::Unknown),
        Some(n) if n >= 2 => ("~", if role == Role::Good { Role::Unknown } else { role }),
        Some(_) => ("", role),
    }
}

pub fn age(model: &Model, row: &Row, field: &str) -> String {
    let Some(at) = when::instant(row, field) else { return String::new() };
    // Of what stands still for years nobody wants the hours.
    match model.now.duration_since(at).as_hours() / 24 {
        days if days > 99 => format!("{days}d"),
        _ => when::roughly(model, row, field, "repo").unwrap_or_default(),
    }
}

pub fn drift(row: &Row) -> String {
    let n = |f: &str| row.get(f).and_then(serde_json::Value::as_u64);
    match (n("drift"), n("drift_gone")) {
        (Some(0), Some(0)) => "0".into(),
        (Some(0), Some(gone)) => format!("-{gone}"),
        (Some(new), _) => format!("+{new}"),
        _ => String::new(),
    }
}
