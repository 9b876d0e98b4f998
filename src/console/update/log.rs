//! The log screen: what each answer changes, and what is to be asked next. What is asked follows from the state alone, after every message.

use super::log_jump;
use crate::api::ApiError;
use crate::api::client::encode;
use crate::api::log::{AttemptsDoc, LogPage};
use crate::console::log::order::{HOLD_S, unhex};
use crate::console::log::search::HITS_MAX;
use crate::console::log::state::{AROUND, Begin, HEX_ROW, Hex, Want};
use crate::console::log::window::{Top, WINDOW_MAX, Window};
use crate::console::log::{Ask, Got, Lane, LogScreen, Order, Told};
use crate::console::model::screen::Kind;
use crate::console::model::{Link, Model, word};
use crate::console::msg::Effect;
use crate::console::question::{Answer, Question};

/// A page: so many lines, and bytes of them.
const LINES: usize = 1_000;
const BYTES: usize = 256 << 10;
/// The first page: what the screen shows, and as much again to turn to. More comes behind it.
const FIRST_LINES: usize = 250;
const FIRST_BYTES: usize = 64 << 10;
/// Whoever follows a log that is written faster than it is read wants its end: more than this is passed over, and read when somebody goes there.
const BEHIND: u64 = 512 << 10;
/// Bytes of the hex view that are held.
const HEX: u64 = 64 << 10;

/// Rows of the body.
pub fn height(model: &Model) -> usize {
    usize::from(model.size.1.saturating_sub(AROUND)).max(1)
}

/// Works on the log in front, where there is one.
pub fn with<T>(model: &mut Model, work: impl FnOnce(&mut Model, &mut LogScreen) -> T) -> Option<T> {
    let mut log = model.screen_mut().log.take()?;
    let depth = model.stack.len();
    let out = work(model, &mut log);
    // Whatever the work did to the stack, the log belongs to its own screen.
    if let Some(screen) = model.stack.get_mut(depth - 1).filter(|s| matches!(&s.kind, Kind::Log(..)) && s.log.is_none()) {
        screen.log = Some(log);
    }
    Some(out)
}

pub fn attempts<'a>(model: &'a Model, log: &LogScreen) -> Option<&'a AttemptsDoc> {
    match model.known(&Question::Attempts(log.run.clone()))?.answer.as_ref()? {
        Answer::Attempts(doc) => Some(doc),
        _ => None,
    }
}

/// The engine is gone, or another: what was under way is not.
pub fn link_changed(model: &mut Model) {
    model.flights.under_way.retain(|lane, _| *lane == Lane::Save);
    for log in model.stack.iter_mut().filter_map(|s| s.log.as_mut()) {
        log.error = None;
        if let Some(s) = &mut log.search {
            s.wanted |= s.running;
            s.running = false;
        }
        if let Some(f) = &mut log.filter {
            f.wanted |= f.running;
            f.running = false;
        }
    }
}

/// Takes an answer in.
pub fn told(model: &mut Model, told: Told) {
    let Some((id, want)) = model.flights.under_way.get(&told.lane).copied() else { return };
    if id != told.id {
        return;
    }
    if matches!(told.got, Got::Page(_) | Got::Attempts(_) | Got::End { .. } | Got::Saved { .. } | Got::Failed(_)) {
        model.flights.under_way.remove(&told.lane);
    }
    if want == Want::Save {
        return saved(model, told.got);
    }
    with(model, |model, log| match told.got {
        Got::Failed(e) => failed(model, log, want, e),
        Got::Page(page) => came(model, log, want, *page),
        Got::Attempts(doc) => log.errors = Some(doc),
        Got::Hits(hits) => {
            if let Some(s) = &mut log.search {
                s.found(hits);
            }
        }
        Got::Lines(lines) => {
            let follow = log.follow;
            if let Some(f) = &mut log.filter {
                f.hits += lines.iter().filter(|l| !l.context).count();
                f.first = f.first.or(lines.first().map(|l| l.offset));
                f.next = lines.last().map_or(f.next, |l| l.offset);
                log.window.append(lines, f.next + 1, false, false);
                f.full = !follow && log.window.held() > WINDOW_MAX - (WINDOW_MAX >> 3);
                log.loaded = true;
            }
        }
        Got::Reached(offset) => {
            if let Some(s) = log.search.as_mut().filter(|_| want == Want::Search) {
                s.next = s.next.max(offset);
            } else if let Some(f) = &mut log.filter {
                f.next = f.next.max(offset);
            }
        }
        Got::End { next, complete } => {
            if let Some(s) = log.search.as_mut().filter(|_| want == Want::Search) {
                (s.running, s.next, s.complete) = (false, next, complete);
                log.size = log.size.max(next);
            } else if let Some(f) = &mut log.filter {
                (f.running, f.next, f.complete, f.asked) = (false, next, complete, true);
                log.window.ended();
                log.loaded = true;
            }
        }
        Got::Saved { .. } => {}
    });
}

/// A question came to nothing.
fn failed(model: &mut Model, log: &mut LogScreen, want: Want, e: ApiError) {
    if let Some(s) = log.search.as_mut().filter(|_| want == Want::Search) {
        (s.running, s.jump) = (false, None);
        model.complain(format!("search: {}", word::cured(&e)));
    } else if want == Want::Errors {
        log.to_error = false;
        model.complain(format!("first errors: {}", word::cured(&e)));
    } else {
        if let Some(f) = &mut log.filter {
            f.running = false;
        }
        log.error = Some(e);
    }
}

/// A part of the log.
fn came(model: &mut Model, log: &mut LogScreen, want: Want, page: LogPage) {
    log.error = None;
    if let Some(why) = page.reset {
        model.complain(why);
        log.show(log.fence);
        return;
    }
    // Another file has come in its place, as when the log was packed after its step.
    (log.size, log.file) = (page.size.max(page.next_offset), page.file);
    if page.note.is_some() {
        log.note = page.note;
    }
    let at_end = page.complete || page.next_offset >= page.size;
    match want {
        Want::Load => {
            log.loaded = true;
            log.complete |= page.complete;
            // The end in the place of what was too far before it.
            log.window = Window::default();
            log.nothing_before = None;
            let asked = if let Begin::Offset(o) = log.begin { o } else { page.next_offset };
            let first = page.lines.first().map_or(asked, |l| l.offset);
            log.window.append(page.lines, page.next_offset, at_end, true);
            log.top = Top { offset: first, row: 0 };
        }
        Want::After | Want::Follow => {
            log.complete |= page.complete;
            log.window.append(page.lines, page.next_offset, at_end, true);
        }
        Want::Before => {
            let before = log.window.first();
            let empty = log.window.is_empty();
            log.window.prepend(page.lines);
            if log.window.first() == before {
                log.nothing_before = Some(before);
            }
            if empty && !log.follow {
                log.top = log.window.bottom(height(model), log.fit(model.size.0));
            }
        }
        Want::Hex => {
            if let Some(h) = &mut log.hex {
                let line = page.lines.first();
                h.none = line.is_none();
                h.bytes = line.map(|l| unhex(&l.text)).unwrap_or_default();
                h.at = line.map_or(page.next_offset, |l| l.offset);
                h.top = if h.bytes.is_empty() { log.size.saturating_sub(HEX_ROW) / HEX_ROW * HEX_ROW } else { h.top };
                h.top = h.top.max(h.at);
            }
        }
        Want::Search | Want::Filter | Want::Errors | Want::Save => {}
    }
}

fn saved(model: &mut Model, got: Got) {
    let bytes = match &got {
        Got::Reached(bytes) => Some(*bytes),
        _ => None,
    };
    for log in model.stack.iter_mut().filter_map(|s| s.log.as_mut()) {
        log.saving = bytes;
    }
    match got {
        Got::Saved { path, bytes } => model.say(format!("saved {} to {path}", crate::base::size::short(bytes))),
        Got::Failed(e) => model.complain(word::cured(&e)),
        _ => {}
    }
}

/// What follows from the state: attempt, place on the screen, and what the engine is asked next.
pub fn orders(model: &mut Model) -> Vec<Effect> {
    let mut out = Vec::new();
    rest(model, &mut out);
    if model.link == Link::Up {
        with(model, |model, log| {
            choose(model, log, &mut out);
            jump(model, log);
            lead(model, log);
            ask(model, log, &mut out);
        });
    }
    out
}

/// Logs that are not in front hold nothing, and nothing is read for them.
fn rest(model: &mut Model, out: &mut Vec<Effect>) {
    let front = model.stack.len().saturating_sub(1);
    let in_front = model.stack.get(front).is_some_and(|s| s.log.is_some());
    for log in model.stack.iter_mut().take(front).filter_map(|s| s.log.as_mut()).filter(|l| l.held() > 0) {
        log.rest();
    }
    if !in_front || model.flights.depth != model.stack.len() {
        stop(model, out);
    }
    model.flights.depth = model.stack.len();
}

/// Ends whatever is under way for the log in front. A file that is being saved goes on.
pub fn stop(model: &mut Model, out: &mut Vec<Effect>) {
    let lanes: Vec<Lane> = model.flights.under_way.keys().copied().filter(|l| *l != Lane::Save).collect();
    for lane in lanes {
        stop_lane(model, lane, out);
    }
}

pub fn stop_lane(model: &mut Model, lane: Lane, out: &mut Vec<Effect>) {
    if model.flights.under_way.remove(&lane).is_some() {
        out.push(Effect::Log(Order { lane, id: 0, ask: Ask::Stop }));
    }
}

/// Which attempt; where nobody chose one and the log is followed, the run's next step comes after this one's end.
fn choose(model: &mut Model, log: &mut LogScreen, out: &mut Vec<Effect>) {
    let Some(doc) = attempts(model, log) else { return };
    let next = match log.fence {
        None => log.pick(doc),
        Some(now) if !log.chosen && log.follow && log.complete && log.filter.is_none() && log.hex.is_none() => {
            log.choices(doc).iter().find(|a| a.fence > now && a.state == "running").map(|a| a.fence)
        }
        Some(_) => None,
    };
    if let Some(fence) = next {
        log.show(Some(fence));
        stop(model, out);
    }
}

fn jump(model: &mut Model, log: &mut LogScreen) {
    if log.to_error {
        log_jump::to_error(model, log);
    }
    if let Some(forward) = log.search.as_ref().and_then(|s| s.jump) {
        log_jump::to_hit(model, log, forward);
    }
}

fn lead(model: &Model, log: &mut LogScreen) {
    let (fit, third) = (log.fit(model.size.0), height(model) / 3);
    let far = log.window.first() == 0 || log.nothing_before == Some(log.window.first());
    if log.lead && log.loaded && (far || !log.window.is_near_start(log.top, third, fit)) {
        log.top = log.window.up(log.top, third, fit);
        if log.window.at_end() {
            log.top = log.top.min(log.window.bottom(height(model), fit));
        }
        log.lead = false;
    }
}

/// What is asked for the attempt in front.
struct Asking<'a> {
    model: &'a mut Model,
    out: &'a mut Vec<Effect>,
    /// The attempt, in a path.
    base: String,
}

impl Asking<'_> {
    fn order(&mut self, lane: Lane, want: Want, ask: Ask) {
        self.model.flights.serial += 1;
        let id = self.model.flights.serial;
        self.model.flights.under_way.insert(lane, (id, want));
        self.out.push(Effect::Log(Order { lane, id, ask }));
    }

    fn free(&self, lane: Lane) -> bool {
        !self.model.flights.under_way.contains_key(&lane)
    }

    fn part(&self, log: &LogScreen, begin: &str, lines: usize, bytes: usize) -> Ask {
        Ask::Page { path: format!("/v1/log/{}?{begin}&lines={lines}&bytes={bytes}&file={}", self.base, log.file) }
    }

    fn page(&self, log: &LogScreen, begin: &str) -> Ask {
        self.part(log, begin, LINES, BYTES)
    }
}

fn ask(model: &mut Model, log: &mut LogScreen, out: &mut Vec<Effect>) {
    let Some(fence) = log.fence else { return };
    let base = format!("{}/{}/{fence}", encode(&log.run.pipeline), log.run.number);
    let mut asking = Asking { model, out, base };
    ask_for_file(&mut asking, log, fence);
    ask_for_errors(&mut asking, log);
    if log.filter.is_some() {
        return ask_for_filter(&mut asking, log);
    }
    ask_for_hits(&mut asking, log);
    match log.error {
        Some(_) => {}
        None if log.hex.is_some() => ask_for_bytes(&mut asking, log),
        None => ask_for_lines(&mut asking, log),
    }
}

fn ask_for_file(asking: &mut Asking<'_>, log: &mut LogScreen, fence: u64) {
    let Some(to) = log.save.take() else { return };
    if asking.free(Lane::Save) {
        log.saving = Some(0);
        asking.order(Lane::Save, Want::Save, Ask::Save { run: log.run.clone(), fence, to });
    } else {
        asking.model.complain("another file is being saved: wait for its end");
    }
}

fn ask_for_errors(asking: &mut Asking<'_>, log: &LogScreen) {
    if log.to_error && log.errors.is_none() && asking.free(Lane::Errors) {
        let path = format!("/v1/attempts/{}/{}?first_error=1", encode(&log.run.pipeline), log.run.number);
        asking.order(Lane::Errors, Want::Errors, Ask::Errors { path });
    }
}

/// Lines near the end of what is held are shown, or are to be.
fn near_end(model: &Model, log: &LogScreen) -> bool {
    log.follow || log.window.is_near_end(log.top, 3 * height(model), log.fit(model.size.0))
}

fn ask_for_filter(asking: &mut Asking<'_>, log: &mut LogScreen) {
    let near_end = near_end(asking.model, log);
    let Some(f) = &mut log.filter else { return };
    // More of a log that grows, or of one that had more than may be held at once.
    f.wanted |= !f.running && !f.full && !f.complete && near_end && log.error.is_none();
    if f.full && f.running {
        f.running = false;
        stop_lane(asking.model, Lane::Search, asking.out);
    } else if f.wanted && asking.free(Lane::Search) {
        (f.wanted, f.running) = (false, true);
        let wait = if f.asked { HOLD_S } else { 0 };
        let (pattern, c) = (f.pattern.query(), f.context);
        let path = format!("/v1/grep/{}?{pattern}&offset={}&before={c}&after={c}&wait={wait}", asking.base, f.next);
        asking.order(Lane::Search, Want::Filter, Ask::Search { path, lines: true });
    }
}

fn ask_for_hits(asking: &mut Asking<'_>, log: &mut LogScreen) {
    if let Some(s) = log.search.as_mut().filter(|s| s.wanted && asking.free(Lane::Search)) {
        (s.wanted, s.running) = (false, true);
        let (pattern, limit) = (s.pattern.query(), HITS_MAX - s.hits.len());
        let path = format!("/v1/grep/{}?{pattern}&offset={}&limit={limit}", asking.base, s.next);
        asking.order(Lane::Search, Want::Search, Ask::Search { path, lines: false });
    }
}

fn ask_for_bytes(asking: &mut Asking<'_>, log: &LogScreen) {
    let Some(h) = &log.hex else { return };
    if asking.free(Lane::Page) && !hex_is_there(h, height(asking.model), log.size) {
        let at = h.top.saturating_sub(HEX / 4) / HEX_ROW * HEX_ROW;
        let path = format!("/v1/log/{}?at=offset&offset={at}&as=hex&bytes={HEX}&file={}", asking.base, log.file);
        asking.order(Lane::Page, Want::Hex, Ask::Page { path });
    }
}

fn ask_for_lines(asking: &mut Asking<'_>, log: &LogScreen) {
    let (height, fit) = (height(asking.model), log.fit(asking.model.size.0));
    let (near_end, first) = (near_end(asking.model, log), log.window.first());
    let at_first = |asking: &Asking<'_>, begin: &str| asking.part(log, begin, FIRST_LINES.max(3 * height), FIRST_BYTES);
    if asking.free(Lane::Page) {
        let wanted = if !log.loaded {
            let begin = match log.begin {
                Begin::Tail => "at=tail".to_owned(),
                Begin::Offset(o) => format!("at=offset&offset={o}"),
                Begin::Time(t) => format!("at=time&time={t}"),
            };
            Some((Want::Load, at_first(asking, &begin)))
        } else if log.follow && !log.window.at_end() && log.size.saturating_sub(log.window.next()) > BEHIND {
            Some((Want::Load, at_first(asking, "at=tail")))
        } else if near_end && !log.window.at_end() {
            Some((Want::After, asking.page(log, &format!("at=offset&offset={}", log.window.next()))))
        } else if first > 0 && log.nothing_before != Some(first) && (log.window.is_empty() || near_start(log, height, fit)) {
            Some((Want::Before, asking.page(log, &format!("at=before&offset={first}"))))
        } else {
            None
        };
        if let Some((want, ask)) = wanted {
            asking.order(Lane::Page, want, ask);
        }
    }
    let waits = log.loaded && log.window.at_end() && !log.complete && near_end;
    if waits && asking.free(Lane::Follow) && asking.free(Lane::Page) {
        let ask = asking.page(log, &format!("at=offset&offset={}&wait={HOLD_S}", log.window.next()));
        asking.order(Lane::Follow, Want::Follow, ask);
    }
}

fn near_start(log: &LogScreen, height: usize, fit: crate::console::log::window::Fit) -> bool {
    let top = if log.follow { log.window.bottom(height, fit) } else { log.top };
    log.window.is_near_start(top, 2 * height, fit)
}

/// Whether the bytes that the screen shows are held; past the end nothing is wanted.
fn hex_is_there(h: &Hex, height: usize, size: u64) -> bool {
    let (end, wants) = (h.at + h.bytes.len() as u64, h.top + height as u64 * HEX_ROW);
    h.none && size == 0 || h.at <= h.top && (!h.bytes.is_empty() && end >= wants.min(size) || size == 0 && h.bytes.is_empty() && h.at > 0)
}
