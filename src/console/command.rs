//! The registry of what a key or the palette can do: what only moves the person's view, and each action of the estate.
//! Keymap, palette, help and tests read it.

use crate::action;

/// One command. Those that change the estate are named `do-ACTION`, and everything about them is in the action's own registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    pub id: &'static str,
    pub title: &'static str,
    pub doc: &'static str,
    pub group: Group,
}

/// What a command is about: help tells them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The row under the cursor, or what the page is about.
    Row,
    Screen,
    Move,
    Everywhere,
}

const fn view(group: Group, id: &'static str, title: &'static str, doc: &'static str) -> Command {
    Command { id, title, doc, group }
}

/// What changes nothing but the view.
pub const VIEW: &[Command] = &[
    view(Group::Everywhere, "arm", "Arm", "Lets this console change things: `:arm 15m REASON`, for an hour at most."),
    view(Group::Everywhere, "audit", "Audit", "Who changed what, when and why."),
    view(Group::Move, "back", "Back", "Closes what is open, then goes to the screen before."),
    view(Group::Row, "blast", "Blast radius", "Only what the promotion touches; again shows all."),
    view(Group::Move, "bottom", "Bottom", "To the last row."),
    view(Group::Row, "calendar", "Calendar", "When the calendar of the promotion is open and when it is frozen; again shows all."),
    view(Group::Screen, "clear-filter", "Clear the filter", "Shows every row again."),
    view(Group::Everywhere, "content", "Content", "Versions of content sets, what differs between two of them, holds and additions."),
    view(Group::Row, "copy-command", "Copy as command", "Copies the command line that does or shows the same."),
    view(Group::Row, "copy-id", "Copy the id", "Copies the id of the row."),
    view(Group::Row, "copy-url", "Copy the address", "Copies the address that the hosts read this repository from."),
    view(Group::Row, "cves", "CVE ids", "Only what has CVE ids in its changelog between the two, or no changelog; again shows all."),
    view(Group::Everywhere, "debug", "Debug", "Time and bytes of frames, queues, and what is held."),
    view(Group::Everywhere, "decisions", "Decisions", "What people settled: approvals, pins, drains, with who and why."),
    view(
        Group::Row,
        "diff",
        "Difference",
        "Each source package that differs: of stable and latest, of two marked versions, of a candidate; `:diff A B`.",
    ),
    view(Group::Everywhere, "disarm", "Disarm", "Makes this console read-only again."),
    view(Group::Everywhere, "doctor", "Doctor", "Checks of this machine and site, each with what to do."),
    view(Group::Move, "down", "Down", "To the next row."),
    view(Group::Everywhere, "dump", "Dump the screen", "Into a new file: `:dump NAME.txt`, .ansi with colours, or .svg."),
    view(
        Group::Screen,
        "edit-editor",
        "Own editor",
        "The text in $VISUAL or $EDITOR; what it leaves is checked, and saved by nobody but you.",
    ),
    view(Group::Screen, "edit-mine", "Keep mine", "Of two texts, the one on this page stays."),
    view(Group::Screen, "edit-redo", "Redo", "Does again what was taken back."),
    view(Group::Screen, "edit-save", "Save", "Replaces the file, after a clean lint and a look at what it changes."),
    view(Group::Screen, "edit-take", "Take the other", "Of two texts, the other one comes onto this page."),
    view(Group::Screen, "edit-type", "Type", "Keys are text from now on; Esc ends it."),
    view(Group::Screen, "edit-undo", "Undo", "Takes the last change of the text back."),
    view(Group::Row, "evidence", "Evidence", "Copies the command that writes the evidence pack of the promotion."),
    view(Group::Screen, "filter", "Filter", "Keeps rows that match: words, col=value, !=, <, >, ~regex, !."),
    view(Group::Screen, "freeze", "Freeze", "The screen stands still, however things go on; again lets it go."),
    view(Group::Row, "graph", "Graph", "The way of this content from upstream to those who read it; again shows all."),
    view(Group::Everywhere, "help", "Help", "What each key does here, for exactly this row."),
    view(Group::Row, "history", "History", "What each place of the repository held and when, and how its syncs went; again shows all."),
    view(Group::Everywhere, "home", "Home", "What needs you, what runs, what is due."),
    view(Group::Everywhere, "jobs", "Jobs", "Pipelines, queue, executors."),
    view(Group::Move, "last-view", "Last view", "To the view that was in front before this one, and back."),
    view(Group::Move, "left", "Left", "To the cell on the left."),
    view(Group::Everywhere, "locks", "Locks", "Which locks are held, by whom and since when."),
    view(Group::Row, "log", "Log", "The log of the run under the cursor."),
    view(Group::Screen, "log-error", "First error", "To the line where it began to go wrong."),
    view(Group::Screen, "log-filter", "Filter the log", "Only lines that match, and some around each."),
    view(Group::Screen, "log-follow", "Follow", "Shows what is written, or stands still."),
    view(Group::Screen, "log-hex", "Bytes", "The log as bytes, for what is no text."),
    view(Group::Screen, "log-left", "Left", "Back to the beginning of long lines."),
    view(Group::Screen, "log-less-context", "Less context", "Fewer lines around each match of the filter."),
    view(Group::Screen, "log-more-context", "More context", "More lines around each match of the filter."),
    view(Group::Screen, "log-next", "Next hit", "To the next line that has what is searched for."),
    view(Group::Screen, "log-next-step", "Next step", "The log of the next step or attempt."),
    view(Group::Screen, "log-previous", "Previous hit", "To the line before that has what is searched for."),
    view(Group::Screen, "log-previous-step", "Previous step", "The log of the step or attempt before."),
    view(Group::Screen, "log-right", "Right", "Further into long lines."),
    view(Group::Screen, "log-save", "Save", "Writes this log into a new file."),
    view(Group::Screen, "log-search", "Search", "A regular expression; small letters mean both cases."),
    view(Group::Screen, "log-stamps", "Times", "When each line was written, or not."),
    view(Group::Screen, "log-time", "Jump to a time", "10m = ten minutes ago, 01:30, or RFC 3339."),
    view(Group::Screen, "log-wrap", "Wrap", "Long lines on several rows, or cut."),
    view(Group::Row, "mark", "Mark", "Marks the row, for an action on several."),
    view(Group::Row, "mark-range", "Mark range", "Marks all rows from the one that was marked last to this one."),
    view(Group::Everywhere, "mirrors", "Mirrors", "Which repositories are fresh, behind, torn or frozen, in every datacentre."),
    view(
        Group::Everywhere,
        "mouse",
        "Mouse",
        "A click selects, the wheel moves; again gives the mouse back to the terminal. Shift selects text meanwhile.",
    ),
    view(Group::Screen, "next-problem", "Next problem", "To the next row that is not well."),
    view(Group::Screen, "next-tab", "Next view", "The next tab of pipelines."),
    view(Group::Row, "open", "Open", "What is behind the row."),
    view(Group::Screen, "out-of-band", "Out of band", "What is held of this OS, and what was added to it beside promotions."),
    view(Group::Move, "page-down", "Page down", "A screen further."),
    view(
        Group::Screen,
        "page-search",
        "Search the text",
        "A regular expression in this text; small letters mean both cases. n and N go on, \\ ends it.",
    ),
    view(Group::Move, "page-up", "Page up", "A screen back."),
    view(Group::Everywhere, "palette", "Command line", "Any command by its name."),
    view(Group::Screen, "pane", "Next pane", "To the other list of this screen."),
    view(Group::Row, "pipeline", "Pipeline", "The page of a pipeline: text with lint as you type, plan, graph."),
    view(Group::Screen, "previous-problem", "Previous problem", "To the row before that is not well."),
    view(Group::Screen, "previous-tab", "View before", "The tab of pipelines before."),
    view(Group::Everywhere, "promotions", "Promotions", "From candidate to stable: gates, approvals, switches, the way back."),
    view(Group::Everywhere, "quit", "Quit", "Leaves the console; everything that runs goes on."),
    view(Group::Everywhere, "redraw", "Redraw", "Draws the whole screen anew."),
    view(Group::Screen, "refresh", "Refresh", "Asks for everything on this screen again."),
    view(Group::Row, "replicas", "Replicas", "Each place of the repository with what it holds and why; again shows all."),
    view(Group::Move, "right", "Right", "To the cell on the right."),
    view(Group::Everywhere, "runs", "Runs", "All runs, newest first."),
    view(Group::Everywhere, "schedule", "Schedule", "What is due, what ran, what was missed and why."),
    view(Group::Everywhere, "site", "Site", "Another site of this machine in the place of this one: `:site NAME`."),
    view(
        Group::Row,
        "snapshot",
        "Snapshot now",
        "Runs the pipeline that takes a snapshot of what holds this repository, after a look at it.",
    ),
    view(Group::Screen, "sort", "Sort", "By the next column."),
    view(Group::Screen, "sort-backwards", "Sort backwards", "Turns the order round."),
    view(Group::Row, "story", "Story", "Only what became of the promotion, and when; again shows all."),
    view(Group::Everywhere, "suspend", "Suspend", "Back to the shell; `fg` returns."),
    view(Group::Screen, "swap", "Turn round", "Compares the other way: what was becomes what is."),
    view(Group::Everywhere, "theme", "Theme", "Another look until this console is left: `:theme light`."),
    view(Group::Move, "top", "Top", "To the first row."),
    view(Group::Row, "undo", "Way back", "Only how the promotion is taken back, and what that does not undo; again shows all."),
    view(Group::Screen, "unmark", "Unmark", "Takes every mark of this list away."),
    view(Group::Move, "up", "Up", "To the row before."),
    view(Group::Row, "used-by", "Used by", "Sets, promotions, pipelines and datacentres that use the repository; again shows all."),
    view(
        Group::Everywhere,
        "view",
        "Saved view",
        "A screen with its filter and order by a name: `:view NAME` opens, `:view save NAME` keeps, `:view drop NAME` forgets.",
    ),
    view(Group::Row, "why", "Why", "Why a run waits, failed, or is not green."),
    view(Group::Screen, "wide", "Wide", "The list on the whole width, without its detail, and back."),
    view(Group::Everywhere, "zone", "Time zone", "Times of the site, relative, of this terminal, UTC."),
];

/// What a name means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    View(&'static Command),
    Do(&'static action::Action),
}

impl Meaning {
    pub fn title(self) -> &'static str {
        match self {
            Self::View(c) => c.title,
            Self::Do(a) => a.title,
        }
    }

    pub fn doc(self) -> &'static str {
        match self {
            Self::View(c) => c.doc,
            Self::Do(a) => a.doc,
        }
    }

    pub fn group(self) -> Group {
        match self {
            Self::View(c) => c.group,
            Self::Do(a) if matches!(a.target, action::Target::Engine | action::Target::Secret) => Group::Everywhere,
            Self::Do(_) => Group::Row,
        }
    }
}

/// Looks a command up by its name.
pub fn find(id: &str) -> Option<Meaning> {
    if let Some(name) = id.strip_prefix("do-") {
        return action::find(name).map(Meaning::Do);
    }
    VIEW.iter().find(|c| c.id == id).map(Meaning::View)
}

/// Every name, for palette and help.
pub fn names() -> impl Iterator<Item = String> {
    VIEW.iter().map(|c| c.id.to_owned()).chain(action::ALL.iter().map(|a| format!("do-{}", a.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_unique_and_found() {
        for pair in VIEW.windows(2) {
            assert!(pair[0].id < pair[1].id, "{} {}", pair[0].id, pair[1].id);
        }
        for name in names() {
            assert!(find(&name).is_some(), "{name}");
        }
        assert!(find("do-nothing-of-the-kind").is_none() && find("").is_none());
    }
}
