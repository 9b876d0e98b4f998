//! The last lines of the log that matters most on the page of a run, or of what its cursor stands on. They are as the step wrote them: made safe
//! here, cut at the edge, and never more than one answer of the engine.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use super::list::{self, Trust};
use super::text::rule;
use super::word;
use crate::api::log::{AttemptDoc, LogLine};
use crate::base::{duration, size};
use crate::console::log::line::Line;
use crate::console::model::{Link, Model};
use crate::console::question::Question;
use crate::console::update::excerpt;
use crate::console::widget::paint;
use crate::domain::run::RunRef;
use crate::theme::{Look, Role};

/// With fewer rows there is none: a title and two lines say nothing.
const LEAST: u16 = 4;
/// Rows that it has of a page that is longer than the screen, by the rows of the screen; none where the screen has fewer than the last.
const KEPT: [(u16, u16); 2] = [(30, 9), (18, 6)];
/// Columns before the lines.
const GUTTER: u16 = 2;

/// Rows of `height` that are the excerpt's, below a page of `used` rows. What runs or went wrong keeps some on a page that is longer than the screen.
pub fn rows(model: &Model, run: &RunRef, used: u16, height: u16) -> u16 {
    let left = height.saturating_sub(used);
    let matters = excerpt::attempt(model, run).is_some_and(|a| a.verdict.as_deref().is_none_or(|v| matches!(v, "failure" | "lost")));
    let kept = KEPT.iter().find(|(from, _)| height >= *from).map_or(0, |(_, rows)| *rows);
    match (left.max(if matters { kept } else { 0 }), left) {
        (rows, _) if rows >= LEAST => rows,
        _ => 0,
    }
}

pub fn draw(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, run: &RunRef) {
    if area.height < LEAST {
        return;
    }
    let attempt = excerpt::attempt(model, run);
    let question = attempt.map(|a| Question::Tail { run: run.clone(), fence: a.fence });
    let page = question.as_ref().and_then(|q| excerpt::lines(model, q));
    let trust = list::trust(model, question.as_ref().unwrap_or(&Question::Attempts(run.clone())));
    title(model, look, area, buf, attempt, page.map(|p| p.size), &trust);
    let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    let lines = page.map_or(&[][..], |p| p.lines.as_slice());
    if let Some((text, role)) = absent(model, run, attempt, page.is_some(), lines, &trust) {
        let mut words = super::text::Text::new();
        words.say(&text, role);
        words.draw(look, Rect { x: body.x + GUTTER.min(body.width), width: body.width.saturating_sub(GUTTER), ..body }, buf);
        return;
    }
    let from = lines.len().saturating_sub(usize::from(body.height));
    let error = attempt.and_then(|a| a.first_error.as_ref()).map(|e| e.offset);
    for (line, y) in lines.iter().skip(from).zip(0..body.height) {
        one(look, body, buf, y, line, error == Some(line.offset));
    }
}

/// `LOG Koji Build / kiwi (el9) ── ✗ failure  4.1 KiB  l all of it`.
fn title(model: &Model, look: &Look, area: Rect, buf: &mut Buffer, attempt: Option<&AttemptDoc>, bytes: Option<u64>, trust: &Trust) {
    let Some(a) = attempt else { return rule(look, area, buf, 0, "LOG", "") };
    let outcome = a.verdict.clone().unwrap_or_else(|| a.state.clone());
    let (sign, _) = word::verdict(&outcome, &look.glyphs);
    let sign = if matches!(trust, Trust::Old(_)) && sign == look.glyphs.good { "~" } else { sign };
    let instant = |t: &Option<String>| t.as_deref().and_then(|t| t.parse::<jiff::Timestamp>().ok());
    let took = match (instant(&a.started), instant(&a.ended)) {
        (Some(from), Some(to)) => duration::short(u64::try_from(to.duration_since(from).as_millis()).unwrap_or(0)),
        _ => String::new(),
    };
    let old = if let Trust::Old(why) = trust { format!("STALE {why}") } else { String::new() };
    let key = model.keys.keys_of(model.screen().scopes(), "log").map(|k| format!("{k} all of it")).unwrap_or_default();
    let size = bytes.map(size::short).unwrap_or_default();
    let name = if a.label() == a.stage { a.stage.clone() } else { format!("{} / {}", a.stage, a.label()) };
    let right: Vec<String> = [old, format!("{sign} {outcome}"), took, size, key].into_iter().filter(|w| !w.is_empty()).collect();
    rule(look, area, buf, 0, &format!("LOG {name}"), &right.join("  "));
}

/// Why there are no lines; none where there are.
fn absent(
    model: &Model,
    run: &RunRef,
    attempt: Option<&AttemptDoc>,
    came: bool,
    lines: &[LogLine],
    trust: &Trust,
) -> Option<(String, Role)> {
    if !lines.is_empty() {
        return None;
    }
    Some(match (attempt, trust) {
        _ if matches!(model.link, Link::Saved { .. }) && !came => ("its log is not part of the saved state".to_owned(), Role::Dim),
        (_, Trust::None(why)) => (why.clone(), Role::Bad),
        (Some(a), _) if came && a.state == "running" => ("the step has written nothing yet".to_owned(), Role::Dim),
        (Some(_), _) if came => ("the step wrote nothing".to_owned(), Role::Dim),
        (Some(_), _) => ("reading the log".to_owned(), Role::Dim),
        (None, _) => {
            let doc = excerpt::attempts(model, run);
            let text = match (doc, excerpt::place(model, run)) {
                (None, _) => "asking the engine which steps ran".to_owned(),
                (Some(_), Some(place)) => format!("nothing of `{place}` was started: it has no log"),
                (Some(d), None) if d.done => "nothing of this run was started: it has no log".to_owned(),
                (Some(_), None) => "nothing has run yet: the log stands here as soon as it begins".to_owned(),
            };
            (text, Role::Dim)
        }
    })
}

fn one(look: &Look, area: Rect, buf: &mut Buffer, y: u16, line: &LogLine, wrong: bool) {
    if wrong {
        paint::text(buf, area, 0, y, look.glyphs.bad, look.style(Role::Bad), "");
    }
    if line.binary {
        paint::text(buf, area, GUTTER, y, "[bytes that are no text]", look.style(Role::Warn), look.glyphs.ellipsis);
        return;
    }
    let text = Line::read(&line.text, look.theme.name != "mono");
    let (letters, more) = text.part(0, usize::from(area.width.saturating_sub(GUTTER)));
    text.draw(buf, area, (GUTTER, y), letters, look.style(if wrong { Role::Bad } else { Role::Text }), &[], look.style(Role::Match));
    if more && area.width > GUTTER {
        paint::text(buf, area, area.width - 1, y, look.glyphs.ellipsis, look.style(Role::Dim), "");
    }
}
