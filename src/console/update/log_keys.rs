//! The commands of the log screen: moving, searching, choosing, and what its prompts take.

use super::log::{attempts, height, stop, stop_lane, with};
use super::prompt;
use crate::base::since::since;
use crate::console::log::search::{CONTEXT_MAX, Filter, Pattern, Search};
use crate::console::log::state::{Begin, HEX_ROW, Hex};
use crate::console::log::window::Top;
use crate::console::log::{Lane, LogScreen};
use crate::console::model::{Model, PromptKind};
use crate::console::msg::Effect;

/// Columns of one step sideways.
const SIDEWAYS: usize = 20;
/// Lines around each hit of a filter at first.
const CONTEXT: usize = 2;

/// Runs a command, where it is one of this screen's. None: it is for everybody.
pub fn run(model: &mut Model, id: &str) -> Option<Vec<Effect>> {
    let mut out = Vec::new();
    let page = height(model);
    let kind = match id {
        "log-search" => Some(PromptKind::LogSearch),
        "log-filter" | "filter" => Some(PromptKind::LogFilter),
        "log-time" => Some(PromptKind::LogTime),
        "log-save" => Some(PromptKind::LogSave),
        _ => None,
    };
    if let Some(kind) = kind.filter(|_| model.screen().log.is_some()) {
        let begins = suggestion(model, kind);
        prompt::open(model, kind, &begins);
        return Some(out);
    }
    let known = with(model, |model, log| {
        match id {
            "down" => step(model, log, true, 1),
            "up" => step(model, log, false, 1),
            "page-down" => step(model, log, true, page.saturating_sub(1).max(1)),
            "page-up" => step(model, log, false, page.saturating_sub(1).max(1)),
            "top" => top(model, log, &mut out),
            "bottom" => bottom(model, log, &mut out),
            "log-follow" if log.follow => {
                log.top = log.window.bottom(page, log.fit(model.size.0));
                log.follow = false;
            }
            "log-follow" => bottom(model, log, &mut out),
            "log-wrap" => (log.wrap, log.column) = (!log.wrap, 0),
            "log-stamps" => log.stamps = !log.stamps,
            "log-left" => log.column = log.column.saturating_sub(SIDEWAYS),
            "log-right" => log.column = if log.wrap { 0 } else { (log.column + SIDEWAYS).min(64 << 10) },
            "log-hex" => hex(model, log, &mut out),
            "log-next" | "next-problem" => again(model, log, true),
            "log-previous" | "previous-problem" => again(model, log, false),
            "log-error" => {
                log.to_error = true;
                if log.errors.is_none() {
                    model.say("looking for the first error");
                }
            }
            "log-next-step" | "pane" => other(model, log, true, &mut out),
            "log-previous-step" => other(model, log, false, &mut out),
            "log-more-context" => context(model, log, true, &mut out),
            "log-less-context" => context(model, log, false, &mut out),
            "clear-filter" => clear(model, log, &mut out),
            "refresh" => {
                log.error = None;
                log.errors = None;
                return false;
            }
            "back" => {
                let busy = log.search.as_ref().is_some_and(|s| s.running || s.wanted);
                if busy {
                    stop_lane(model, Lane::Search, &mut out);
                    if let Some(s) = &mut log.search {
                        (s.running, s.wanted, s.jump) = (false, false, None);
                    }
                    model.say("the search was stopped");
                } else if log.filter.is_some() {
                    clear(model, log, &mut out);
                } else if log.search.take().is_none() {
                    return false;
                }
            }
            _ => return false,
        }
        true
    })?;
    known.then_some(out)
}

/// What a prompt begins with.
fn suggestion(model: &Model, kind: PromptKind) -> String {
    let Some(log) = &model.screen().log else { return String::new() };
    match kind {
        PromptKind::LogFilter => log.filter.as_ref().map(|f| f.pattern.text.clone()).unwrap_or_default(),
        PromptKind::LogSave => {
            let step = attempts(model, log).and_then(|d| log.attempt(d)).map(|a| format!("-{}-{}-{}", a.stage, a.label(), a.number));
            let name = format!("{}-{}{}", log.run.pipeline, log.run.number, step.unwrap_or_default());
            let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' };
            format!("{}.log", name.chars().map(plain).collect::<String>().replace("--", "-").trim_matches(['-', '.']))
        }
        _ => String::new(),
    }
}

/// What was typed into one of this screen's prompts.
pub fn entered(model: &mut Model, kind: PromptKind, text: &str) -> Result<Vec<Effect>, String> {
    let mut out = Vec::new();
    let done = with(model, |model, log| {
        match kind {
            PromptKind::LogSearch if text.is_empty() => again(model, log, true),
            PromptKind::LogSearch => {
                let pattern = Pattern::new(text)?;
                stop_lane(model, Lane::Search, &mut out);
                if log.filter.is_some() {
                    clear(model, log, &mut out);
                }
                log.hex = None;
                let origin = if log.follow { log.window.bottom(height(model), log.fit(model.size.0)).offset } else { log.top.offset };
                log.search = Some(Search::new(pattern, origin));
            }
            PromptKind::LogFilter if text.is_empty() => clear(model, log, &mut out),
            PromptKind::LogFilter => {
                let pattern = Pattern::new(text)?;
                let context = log.filter.as_ref().map_or(CONTEXT, |f| f.context);
                filter(model, log, Filter::new(pattern, context, 0), &mut out);
            }
            PromptKind::LogTime => {
                let at = since(text.trim(), &model.site.zone, model.now);
                let at = at.ok_or_else(|| format!("`{text}` is no time: write 10m for ten minutes ago, 01:30, or RFC 3339"))?;
                unfilter(model, log, &mut out);
                log.hex = None;
                (log.follow, log.lead) = (false, false);
                log.read_from(Begin::Time(at));
                stop_lane(model, Lane::Page, &mut out);
            }
            PromptKind::LogSave if text.trim().is_empty() => return Err("a file's name is needed".to_owned()),
            PromptKind::LogSave => log.save = Some(text.trim().to_owned()),
            PromptKind::Command | PromptKind::Filter | PromptKind::PageSearch => {}
        }
        Ok(())
    });
    done.unwrap_or_else(|| Err("there is no log here".to_owned()))?;
    Ok(out)
}

fn step(model: &Model, log: &mut LogScreen, down: bool, n: usize) {
    let (height, fit) = (height(model), log.fit(model.size.0));
    if let Some(h) = &mut log.hex {
        let far = n as u64 * HEX_ROW;
        let last = log.size.saturating_sub(1) / HEX_ROW * HEX_ROW;
        h.top = if down { (h.top + far).min(last) } else { h.top.saturating_sub(far) };
        return;
    }
    if log.window.is_empty() {
        return;
    }
    let end = log.window.bottom(height, fit);
    if log.follow {
        if down {
            return;
        }
        (log.top, log.follow) = (end, false);
    }
    log.lead = false;
    log.top = if down { log.window.down(log.top, n, fit) } else { log.window.up(log.top, n, fit) };
    if down {
        log.top = log.top.min(end);
        more_of_filter(log, end);
    }
}

/// At the end of what is held of a filter, what follows takes its place.
fn more_of_filter(log: &mut LogScreen, end: Top) {
    let Some(f) = &log.filter else { return };
    if f.full && log.top >= end {
        let (pattern, context, from) = (f.pattern.clone(), f.context, f.next);
        log.filter = Some(Filter::new(pattern, context, from));
        log.read_from(Begin::Offset(from));
    }
}

fn top(model: &mut Model, log: &mut LogScreen, out: &mut Vec<Effect>) {
    log.follow = false;
    log.lead = false;
    if let Some(h) = &mut log.hex {
        h.top = 0;
    } else if let Some(f) = &log.filter {
        if f.from > 0 || f.first.is_some_and(|first| first < log.window.first()) {
            let again = Filter::new(f.pattern.clone(), f.context, 0);
            filter(model, log, again, out);
            log.follow = false;
        } else {
            log.top = Top { offset: log.window.first(), row: 0 };
        }
    } else if log.loaded && log.window.first() == 0 {
        log.top = Top::default();
    } else {
        stop_lane(model, Lane::Page, out);
        log.read_from(Begin::Offset(0));
    }
}

/// To the end, and on with what is written.
fn bottom(model: &mut Model, log: &mut LogScreen, out: &mut Vec<Effect>) {
    if let Some(h) = &mut log.hex {
        let rows = height(model) as u64;
        h.top = (log.size.div_ceil(HEX_ROW).saturating_sub(rows)) * HEX_ROW;
        return;
    }
    log.follow = true;
    log.lead = false;
    if let Some(f) = &mut log.filter {
        f.full = false;
    } else if !(log.loaded && log.window.at_end()) {
        stop_lane(model, Lane::Page, out);
        log.read_from(Begin::Tail);
    }
}

fn hex(model: &mut Model, log: &mut LogScreen, out: &mut Vec<Effect>) {
    stop_lane(model, Lane::Page, out);
    if log.hex.take().is_none() {
        let from = if log.follow { log.window.bottom(height(model), log.fit(model.size.0)) } else { log.top };
        unfilter(model, log, out);
        log.hex = Some(Hex { top: from.offset / HEX_ROW * HEX_ROW, ..Hex::default() });
    }
}

fn filter(model: &mut Model, log: &mut LogScreen, new: Filter, out: &mut Vec<Effect>) {
    stop(model, out);
    log.hex = None;
    if let Some(s) = &mut log.search {
        s.running = false;
    }
    log.read_from(Begin::Offset(new.from));
    log.filter = Some(new);
}

/// Ends the filter without a place to go to.
fn unfilter(model: &mut Model, log: &mut LogScreen, out: &mut Vec<Effect>) {
    if log.filter.take().is_some() {
        stop(model, out);
        log.read_from(if log.follow { Begin::Tail } else { Begin::Offset(log.top.offset) });
    }
}

/// Shows every line again, around the one that was on top.
fn clear(model: &mut Model, log: &mut LogScreen, out: &mut Vec<Effect>) {
    let at = log.top.offset;
    let had_rows = !log.window.is_empty();
    unfilter(model, log, out);
    if !log.follow && !had_rows {
        log.read_from(Begin::Tail);
        log.follow = true;
    } else if !log.follow && !log.loaded {
        log.go(at);
    }
}

fn context(model: &mut Model, log: &mut LogScreen, more: bool, out: &mut Vec<Effect>) {
    let Some(f) = &log.filter else { return model.say("there is no filter: & sets one") };
    let lines = if more { (f.context.max(1) * 2).min(CONTEXT_MAX) } else { f.context / 2 };
    let again = Filter::new(f.pattern.clone(), lines, f.from);
    filter(model, log, again, out);
}

fn again(model: &mut Model, log: &mut LogScreen, forward: bool) {
    match &mut log.search {
        None => model.say("nothing is searched for: / does"),
        Some(s) => s.jump = Some(forward),
    }
}

/// The attempt after or before this one, round and round.
fn other(model: &mut Model, log: &mut LogScreen, forward: bool, out: &mut Vec<Effect>) {
    let fences: Vec<u64> = attempts(model, log).map(|d| log.choices(d).iter().map(|a| a.fence).collect()).unwrap_or_default();
    let len = fences.len();
    let now = fences.iter().position(|f| Some(*f) == log.fence).unwrap_or(0);
    let to = if forward { now + 1 } else { now + len.max(1) - 1 };
    match fences.get(to % len.max(1)) {
        Some(fence) if len > 1 => {
            stop(model, out);
            log.follow = true;
            log.chosen = true;
            log.show(Some(*fence));
        }
        _ => model.say("there is no other step here"),
    }
}
