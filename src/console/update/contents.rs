//! Commands of the screens of content, of two contents, and of mirrors that change nothing but what is seen.

use super::content::{self, compared};
use super::open;
use super::travel::push;
use crate::console::model::screen::{Kind, Pair, Side};
use crate::console::model::{List, Model, Screen, word};
use crate::console::msg::Effect;

/// Sources whose changelog tells of CVE ids, or does not tell all.
pub const CVES: &str = "fixes!=none fixes!=";

/// Does what the command says where it is about contents; false = it is somebody else's.
pub fn run(model: &mut Model, id: &str) -> bool {
    let kind = model.screen().kind.clone();
    match (id, &kind) {
        ("cves", Kind::Diff(_)) => toggle_cves(model),
        ("diff", Kind::Diff(_)) => model.say("this is the difference; esc goes back"),
        ("diff" | "cves", Kind::Content | Kind::Mirrors) => match compared(model) {
            Ok(pair) => {
                push(model, Kind::Diff(pair));
                if id == "cves" {
                    toggle_cves(model);
                }
            }
            Err(why) => model.complain(why),
        },
        ("swap", Kind::Diff(pair)) => swap(model, pair),
        ("out-of-band", Kind::Content) => to_holds(model, None),
        ("out-of-band", Kind::Mirrors) => {
            let os = content::os(model);
            push(model, Kind::Content);
            to_holds(model, os);
        }
        ("replicas", Kind::Mirrors) => side(model, Side::Replicas),
        ("used-by", Kind::Mirrors) => side(model, Side::Used),
        ("history", Kind::Mirrors) => side(model, Side::History),
        ("graph", Kind::Mirrors) => side(model, Side::Graph),
        // What a place in trouble said comes before the log; the same key again shows that.
        ("log", Kind::Mirrors) if model.screen().side != Side::Raw && in_trouble(model) => side(model, Side::Raw),
        _ => return false,
    }
    true
}

/// What is behind the row under the cursor; false = nothing of ours.
pub fn open(model: &mut Model, what: &str) -> bool {
    match what {
        "versions" => drop(run(model, "diff")),
        "holds" => {
            let row = model.under_cursor().cloned().unwrap_or_default();
            let text = format!("hold {}: {} {}", word::text(&row, "hold"), word::text(&row, "state"), word::text(&row, "how"));
            model.say(text.trim().to_owned());
        }
        "sources" => {
            let Some(name) = model.under_cursor().map(|r| word::text(r, "source")) else { return true };
            let screen = model.screen_mut();
            screen.focus = 1;
            if let Some(list) = screen.lists.get_mut(1) {
                *list = List::default();
                list.filter = format!("source=\"{name}\"");
            }
        }
        "packages" => {
            let row = model.under_cursor().cloned().unwrap_or_default();
            model.say(format!(
                "{}.{} of {}: tab goes back to the sources",
                word::text(&row, "name"),
                word::text(&row, "arch"),
                word::text(&row, "source")
            ));
        }
        _ => return false,
    }
    true
}

fn toggle_cves(model: &mut Model) {
    let screen = model.screen_mut();
    screen.focus = 0;
    if let Some(list) = screen.lists.first_mut() {
        list.filter = if list.filter == CVES { String::new() } else { CVES.to_owned() };
    }
}

fn swap(model: &mut Model, pair: &Pair) {
    let turned = Pair { a: pair.b.clone(), b: pair.a.clone(), names: (pair.names.1.clone(), pair.names.0.clone()), os: pair.os.clone() };
    // In the place of the one that is turned: back leads where it led.
    *model.screen_mut() = Screen::of(Kind::Diff(turned));
}

fn to_holds(model: &mut Model, os: Option<String>) {
    let screen = model.screen_mut();
    screen.focus = 1;
    if let (Some(list), Some(os)) = (screen.lists.get_mut(1), os) {
        list.filter = format!("os={os} state!=ENDED");
    }
}

/// Whether a place of the repository under the cursor answered something else than it was asked.
fn in_trouble(model: &Model) -> bool {
    let repo = model.under_cursor().map(|r| word::text(r, "repo"));
    repo.and_then(|r| model.repo(&r)).is_some_and(|d| !d.answers.is_empty())
}

/// One part beside the list; the same key again shows all.
fn side(model: &mut Model, wanted: Side) {
    let screen = model.screen_mut();
    screen.side = if screen.side == wanted { Side::All } else { wanted };
    screen.wide = false;
}

/// What is copied of the row under the cursor, where that is not its id.
pub fn id(model: &Model) -> Option<String> {
    let what = model.screen().pane()?.0.what;
    (what == "versions").then(|| model.under_cursor().map(|r| word::text(r, "fp"))).flatten()
}

/// The address that hosts read a repository from: a replica's, else its tree, else upstream's.
pub fn copy_url(model: &mut Model) -> Vec<Effect> {
    let places = model.rows(&crate::console::question::Question::Rows { what: "mirrors", limit: crate::console::model::screen::PAGE });
    let repo = model.under_cursor().map(|r| word::text(r, "repo")).unwrap_or_default();
    let of = |role: &str| {
        let rows = places.iter().flat_map(|p| &p.rows).filter(|r| word::text(r, "repo") == repo);
        rows.filter(|r| word::text(r, "role") == role).map(|r| word::text(r, "tree")).find(|t| !t.is_empty())
    };
    match of("replica").or_else(|| of("tree")).or_else(|| of("upstream")) {
        Some(url) => vec![Effect::Copy(url)],
        None => {
            model.complain("no address of this repository is known");
            Vec::new()
        }
    }
}

/// Asks whether the pipeline is to be run that takes a snapshot of what holds this repository, and does nothing else.
pub fn snapshot(model: &mut Model) -> Vec<Effect> {
    let repo = model.under_cursor().map(|r| word::text(r, "repo")).unwrap_or_default();
    let known = model.repo(&repo).map(|d| d.snapshots_by.clone());
    let why = match (&model.screen().kind, known) {
        (Kind::Mirrors, Some(Some(pipeline))) => match crate::action::find("run").map(|run| open::open_on(model, run, &pipeline)) {
            Some(Ok(effects)) => return effects,
            Some(Err(why)) => why,
            None => "this version runs no pipelines".to_owned(),
        },
        (Kind::Mirrors, Some(None)) => {
            format!(
                "no pipeline takes a snapshot of what holds {repo} and does nothing else: its stages `reads:` the set and use mirror/snapshot"
            )
        }
        (Kind::Mirrors, None) => format!("what uses {repo} is not known yet: a moment"),
        _ => "3 shows repositories: a snapshot is taken there".to_owned(),
    };
    model.complain(format!("Snapshot: {why}"));
    Vec::new()
}

/// The command line that shows the same comparison.
pub fn command_line(pair: &Pair, what: &str, list: &List) -> String {
    let mut out = format!("quarterdeck diff {} {}", shell_words::quote(&pair.a), shell_words::quote(&pair.b));
    if what == "packages" {
        out.push_str(" --packages");
    }
    if !list.filter.is_empty() {
        out.push_str(&format!(" --filter {}", shell_words::quote(&list.filter)));
    }
    if let Some((column, backwards)) = &list.sort {
        out.push_str(&format!(" --sort {}{column}", if *backwards { "-" } else { "" }));
    }
    out
}
