//! What each command does.

use super::lists::current;
use super::subject::{no_run, pipeline_of, pipeline_row, row, run_of};
use super::{arm, asks, contents, idle, lists, log_keys, open, own, page, promotions, prompt, run_keys, saved_views, travel};
use crate::action::Target;
use crate::console::command::{self, Meaning};
use crate::console::edit::page::Tab;
use crate::console::model::list::Row;
use crate::console::model::screen::{Kind, PAGE, Pair, Part};
use crate::console::model::spots::Goal;
use crate::console::model::{Clock, Link, Model, PromptKind, Stats, word};
use crate::console::msg::Effect;
use crate::console::question::Question;
use crate::domain::run::{RunRef, valid_name};

/// Runs the command of this name.
pub fn run(model: &mut Model, id: &str) -> Vec<Effect> {
    match command::find(id) {
        Some(Meaning::Do(action)) => open::open(model, action),
        Some(Meaning::View(c)) => match log_keys::run(model, c.id).or_else(|| page::run(model, c.id)) {
            Some(effects) => effects,
            None if run_keys::run(model, c.id) => Vec::new(),
            None => view(model, c.id),
        },
        None => {
            model.complain(format!("no command `{id}`"));
            Vec::new()
        }
    }
}

/// A line of the palette: a command, and for some an argument.
pub fn typed(model: &mut Model, line: &str) -> Result<Vec<Effect>, String> {
    let (word, rest) = line.split_once(' ').map_or((line, ""), |(w, r)| (w, r.trim()));
    match word {
        "" => Ok(Vec::new()),
        "q" => Ok(view(model, "quit")),
        "arm" => arm::arm(model, rest),
        "run" if !rest.is_empty() => {
            let run: RunRef = rest.parse().map_err(|e: crate::domain::run::BadRunRef| e.to_string())?;
            travel::push(model, Kind::Run(run));
            Ok(Vec::new())
        }
        "dump" if !rest.is_empty() => Ok(vec![Effect::Dump(rest.to_owned())]),
        "log" if !rest.is_empty() => {
            travel::push(model, Kind::log_of(rest)?);
            Ok(Vec::new())
        }
        "theme" if !rest.is_empty() => Ok(vec![Effect::Theme(rest.to_owned())]),
        "diff" if !rest.is_empty() => {
            let Some((a, b)) = rest.split_once(' ').map(|(a, b)| (a, b.trim())).filter(|(_, b)| !b.is_empty() && !b.contains(' ')) else {
                return Err("two contents are compared: `:diff A B`".to_owned());
            };
            travel::push(model, Kind::Diff(Pair::of(a, b)));
            Ok(Vec::new())
        }
        "view" if !rest.is_empty() => saved_views::typed(model, rest),
        "site" if !rest.is_empty() => to_site(model, rest),
        "pipeline" if !rest.is_empty() => {
            if !valid_name(rest) {
                return Err(format!("`{}` can be no name of a pipeline", crate::base::sanitise::cell(rest)));
            }
            travel::push(model, Kind::Pipeline(rest.to_owned()));
            Ok(Vec::new())
        }
        // As fingers know it.
        "w" => Ok(run(model, "edit-save")),
        "ack" | "do-ack" if !rest.is_empty() => own::typed(model, "ack", rest),
        "unack" | "do-unack" if !rest.is_empty() => own::typed(model, "unack", rest),
        "ack" | "unack" => Ok(own::open(model, word)),
        _ if !rest.is_empty() && word.starts_with("do-") => match command::find(word) {
            Some(Meaning::Do(action)) if matches!(action.target, Target::Os | Target::Hold | Target::Repo) => {
                open::open_on(model, action, rest)
            }
            Some(_) => Err(format!("{word} is done to the row under the cursor: it takes no argument here")),
            None => Err(format!("no command `{word}`")),
        },
        _ if command::find(word).is_some() => Ok(run(model, word)),
        _ => {
            let names: Vec<String> = command::names().collect();
            let near = crate::base::suggest::nearest(word, names.iter().map(String::as_str));
            Err(near.map_or_else(|| format!("no command `{word}`"), |n| format!("no command `{word}`: did you mean `{n}`?")))
        }
    }
}

fn view(model: &mut Model, id: &str) -> Vec<Effect> {
    match id {
        "quit" => return vec![Effect::Quit],
        "suspend" => return vec![Effect::Suspend],
        "arm" => prompt::begin(model, "arm 15m "),
        "site" => prompt::begin(model, "site "),
        "view" => prompt::begin(model, "view "),
        "last-view" => travel::last(model),
        "mouse" => return mouse(model),
        "theme" => prompt::begin(model, "theme "),
        "disarm" => return arm::disarm(model),
        "redraw" => return vec![Effect::Redraw],
        "dump" => prompt::begin(model, &format!("dump {}", dump_name(model))),
        "freeze" => freeze(model),
        "debug" => model.debug = if model.debug.is_some() { None } else { Some(Stats::default()) },
        "back" => travel::back(model),
        "help" => model.help = Some(0),
        "palette" => prompt::open(model, PromptKind::Command, ""),
        "home" | "jobs" | "runs" | "audit" | "schedule" | "decisions" | "locks" | "doctor" | "mirrors" | "promotions" | "content" => {
            if let Some((_, kind)) = Kind::NAMED.into_iter().find(|(n, _)| *n == id) {
                travel::go(model, kind);
            }
        }
        "why" if model.screen().log.is_some() => {
            if let Some(run) = model.screen().log.as_ref().map(|l| l.run.clone()) {
                travel::push(model, Kind::Run(run));
            }
        }
        "copy-url" => return contents::copy_url(model),
        "snapshot" => return contents::snapshot(model),
        "diff" | "cves" | "graph" | "history" | "log" | "out-of-band" | "replicas" | "swap" | "used-by" if contents::run(model, id) => {}
        "blast" => part(model, Part::Blast),
        "diff" => part(model, Part::Diff),
        "cves" => part(model, Part::Cves),
        "calendar" => part(model, Part::Calendar),
        "undo" => part(model, Part::Undo),
        "story" => part(model, Part::Story),
        "evidence" => match promotions::current(model) {
            Some(id) => return vec![Effect::Copy(model.to_type(&format!("quarterdeck evidence {id}")))],
            None => model.complain("there is no promotion under the cursor"),
        },
        "log" => log(model),
        "pipeline" => pipeline(model),
        "open" if matches!(model.screen().kind, Kind::Run(_)) => match run_keys::goal(model) {
            Some(Goal::Run(run)) => travel::push(model, Kind::Run(run)),
            _ => log(model),
        },
        "open" | "why" => open(model),
        "refresh" => return refresh(model),
        "zone" => {
            model.clock = match model.clock {
                Clock::Site => Clock::Relative,
                Clock::Relative if model.here.is_some() => Clock::Here,
                Clock::Relative | Clock::Here => Clock::Utc,
                Clock::Utc => Clock::Site,
            };
        }
        "copy-id" => match contents::id(model).or_else(|| current(model)) {
            Some(id) => return vec![Effect::Copy(id)],
            None => model.complain("there is no row to copy"),
        },
        "copy-command" => return vec![Effect::Copy(model.to_type(&command_line(model)))],
        _ if in_list(model, id) => {}
        _ => model.say(format!("`{id}` does nothing on this screen")),
    }
    Vec::new()
}

/// Runs a command about the list in front; false where it is none.
fn in_list(model: &mut Model, id: &str) -> bool {
    match id {
        "filter" if model.screen().pane().is_some() => {
            let filter = model.screen().pane().map(|(_, l)| l.filter.clone()).unwrap_or_default();
            prompt::open(model, PromptKind::Filter, &filter);
        }
        "clear-filter" => lists::clear_filter(model),
        "down" => lists::step(model, |at, _, _| at + 1),
        "up" => lists::step(model, |at, _, _| at.saturating_sub(1)),
        "page-down" => lists::step(model, |at, _, height| at + height),
        "page-up" => lists::step(model, |at, _, height| at.saturating_sub(height)),
        "top" => lists::step(model, |_, _, _| 0),
        "bottom" => lists::step(model, |_, len, _| len.saturating_sub(1)),
        "next-problem" => lists::problem(model, true),
        "previous-problem" => lists::problem(model, false),
        "pane" => {
            let s = model.screen_mut();
            s.focus = if s.lists.is_empty() { 0 } else { (s.focus + 1) % s.lists.len() };
            s.lent = false;
        }
        "next-tab" | "previous-tab" => {
            if !lists::tab(model, id == "next-tab") {
                model.say(idle::idle(model, id).unwrap_or_default());
            }
        }
        "wide" => model.screen_mut().wide ^= true,
        "mark" => lists::mark(model),
        "mark-range" => lists::mark_range(model),
        "unmark" => lists::unmark(model),
        "sort" => lists::sort(model, false),
        "sort-backwards" => lists::sort(model, true),
        _ => return false,
    }
    true
}

fn mouse(model: &mut Model) -> Vec<Effect> {
    model.mouse = !model.mouse;
    model.say(match model.mouse {
        true => "the mouse selects and scrolls; Shift with it selects text; A-m gives it back",
        false => "the mouse is the terminal's again",
    });
    vec![Effect::Mouse(model.mouse)]
}

/// Everything is asked again. On the page of the mirrors the engine looks anew at the one under the cursor.
fn refresh(model: &mut Model) -> Vec<Effect> {
    if model.screen().kind != Kind::Mirrors || model.link != Link::Up {
        asks::all_again(model);
        model.say(if model.link == Link::Up { "asked again" } else { "there is nobody to ask" });
        return Vec::new();
    }
    model.known.values_mut().for_each(|k| k.old = true);
    let Some(repo) = current(model) else { return Vec::new() };
    model.say(format!("the engine looks at {repo} now"));
    let look = Question::WhyRepo(repo);
    model.asked.insert(look.clone());
    vec![Effect::Ask(look)]
}

/// Another site in the place of this one: nothing that is unsaved or armed goes with it unseen.
fn to_site(model: &mut Model, name: &str) -> Result<Vec<Effect>, String> {
    if name == model.site.name {
        return Err(format!("this is {name}"));
    }
    if let Some(page) = model.pages.values().find(|p| p.unsaved()) {
        return Err(format!("the text of {} is not saved: S saves it, u takes it back", page.name));
    }
    Ok(vec![Effect::Site(name.to_owned())])
}

fn freeze(model: &mut Model) {
    if model.frozen.take().is_some() {
        model.say("it goes on");
    } else if model.link == Link::Up {
        model.frozen = Some(model.now);
        model.say("what is shown stands still; f lets it go on");
    } else {
        model.say("nothing moves here");
    }
}

/// A name that says what was dumped and when.
fn dump_name(model: &Model) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let title: String = model.screen().kind.title().chars().filter(|c| !"[]".contains(*c)).map(plain).collect();
    let at = model.now.to_zoned(model.site.zone.clone()).strftime("%Y%m%d-%H%M%S").to_string();
    format!("quarterdeck-{}-{at}.txt", title.trim_matches('-'))
}

fn open(model: &mut Model) {
    let Some((pane, _)) = model.screen().pane() else { return };
    if pane.what == "needs"
        && let Some(row) = row(model).filter(|r| word::text(r, "go") != "run")
    {
        return need(model, &row);
    }
    let Some(id) = current(model) else { return model.complain("there is no row to open") };
    if contents::open(model, pane.what) {
        return;
    }
    if pane.what == "repos" {
        let row = row(model).unwrap_or_default();
        return model.say(format!("{id}: {}. {}", word::text(&row, "detail"), word::text(&row, "next")));
    }
    if pane.what == "promotions" {
        return travel::push(model, Kind::Promotion(id));
    }
    match run_of(model, pane.what, &id) {
        Some(run) => travel::push(model, Kind::Run(run)),
        None => model.say(no_run(pane.what, &id)),
    }
}

/// To where something can be done about what needs somebody: the screen, and on it the row.
fn need(model: &mut Model, row: &Row) {
    let (go, what) = (word::text(row, "go"), word::text(row, "what"));
    if go.is_empty() {
        return model.say(format!("{what}: {}", word::text(row, "press")));
    }
    view(model, &go);
    let subject = word::text(row, "subject");
    let table = match go.as_str() {
        "mirrors" => "repos",
        "jobs" => "pipelines",
        other => other,
    };
    if let Some((pane, list)) = model.screen_mut().pane_mut()
        && pane.what == table
        && !subject.is_empty()
    {
        list.selected = Some(subject);
    }
}

/// Its page.
fn pipeline(model: &mut Model) {
    match pipeline_of(model) {
        Some(name) => travel::push(model, Kind::Pipeline(name)),
        None => model.say("no row here is about a pipeline; :pipeline NAME opens one"),
    }
}

/// The log of the row under the cursor, or of the newest run where no row has one.
fn log(model: &mut Model) {
    // On a run's page: what the cursor stands on, else the whole run.
    match (run_keys::goal(model), model.screen().kind.clone()) {
        (Some(Goal::Log(place)), Kind::Run(run)) => return travel::push(model, Kind::Log(run, Some(place))),
        (Some(Goal::Run(run)), _) => return travel::push(model, Kind::Log(run, None)),
        _ => {}
    }
    let what = model.screen().pane().map_or("", |(pane, _)| pane.what);
    let here = match &model.screen().kind {
        Kind::Pipeline(name) => pipeline_row(model, name).and_then(|r| word::text(r, "last_run").parse().ok()),
        Kind::Promotion(id) => promotions::row(model, id).and_then(|r| word::text(r, "run").parse().ok()),
        _ => current(model).and_then(|id| run_of(model, what, &id)),
    };
    let newest = || {
        let rows = model.rows(&Question::Rows { what: "runs", limit: PAGE });
        rows.and_then(|r| r.rows.first()).and_then(|r| word::text(r, "run").parse().ok())
    };
    let own = here.is_some();
    match here.or_else(newest) {
        Some(run) => {
            if !own {
                model.say("no run stood there: this is the log of the newest one");
            }
            travel::push(model, Kind::Log(run, None));
        }
        None => model.say("no run here has a log yet; :log NAME#N opens one"),
    }
}

/// The command line that shows the same.
fn command_line(model: &Model) -> String {
    match (&model.screen().kind, model.screen().pane()) {
        (Kind::Log(run, place), _) => {
            let place = place.as_ref().map(|p| format!("/{p}")).unwrap_or_default();
            let log = model.screen().log.as_ref();
            let grep =
                log.and_then(|l| l.filter.as_ref()).map(|f| format!(" --grep {} -C {}", shell_words::quote(&f.pattern.text), f.context));
            format!("quarterdeck log {}{}", shell_words::quote(&format!("{run}{place}")), grep.unwrap_or_default())
        }
        (Kind::Run(run), _) => format!("quarterdeck why '{run}'"),
        (Kind::Promotion(id), _) => format!("quarterdeck why {id}"),
        (Kind::Promotions, Some((_, list))) if list.filter.is_empty() => {
            current(model).map_or_else(|| "quarterdeck get promotions".into(), |id| format!("quarterdeck why {id}"))
        }
        (Kind::Diff(pair), Some((pane, list))) => contents::command_line(pair, pane.what, list),
        (Kind::Mirrors, _) => current(model).map_or_else(|| "quarterdeck get repos".into(), |repo| format!("quarterdeck why {repo}")),
        (Kind::Pipeline(name), _) => {
            let what = match model.page().map(|p| p.tab) {
                Some(Tab::Plan) => "plan",
                Some(Tab::Graph) => "graph",
                _ => "lint",
            };
            format!("quarterdeck pipeline {what} {}", shell_words::quote(name))
        }
        (_, Some((pane, list))) if list.filter.is_empty() => format!("quarterdeck get {}", pane.what),
        (_, Some((pane, list))) => format!("quarterdeck get {} --filter {}", pane.what, shell_words::quote(&list.filter)),
        (_, None) => "quarterdeck get runs".to_owned(),
    }
}

/// One part of a promotion on the whole page; the same key again shows all.
fn part(model: &mut Model, wanted: Part) {
    if !matches!(model.screen().kind, Kind::Promotion(_) | Kind::Promotions) {
        return model.say("that is part of a promotion: 6 shows them");
    }
    let screen = model.screen_mut();
    screen.part = if screen.part == wanted { Part::All } else { wanted };
    screen.scroll = 0;
}
