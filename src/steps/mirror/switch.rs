//! `mirror/switch` and `mirror/rollback`: a pointer of a root leads to another snapshot, in one step. Nothing else is moved, and no file of
//! a snapshot is changed.
//!
//! `NAME -> snapshots/ID[/REPO]` is a symbolic link that is replaced by rename; where NAME is still a plain directory, the two exchange
//! their names, and the directory becomes `snapshots/adopted-DATE`. `NAME.previous` leads to what was served before: one step back.

use jiff::tz::TimeZone;

use super::book::{self, Book, Entry};
use super::carry;
use super::refs;
use super::root::{Root, SNAPSHOTS};
use crate::base::suggest;
use crate::domain::report::Fact;
use crate::domain::snapshot::plain;
use crate::steps::env::StepEnv;
use crate::steps::error::StepError;
use crate::steps::report::Report;
use crate::steps::with::With;
use crate::systems::repo::Tree;
use crate::systems::repo::links::Named;

struct Options {
    name: String,
    to: String,
    repo: Option<String>,
    carry: bool,
    /// Where the pointer must lead now; another place is a refusal.
    from: Option<String>,
}

impl Options {
    fn read(with: &With) -> Result<Self, StepError> {
        let name = with.text("name").unwrap_or("stable").to_owned();
        if !plain(&name) || name == SNAPSHOTS || name.ends_with(".previous") || name.len() > 80 {
            return Err(StepError::input(
                format!("`{}` cannot be the name of a pointer", crate::wire::excerpt(&name)),
                "give one plain word, such as stable",
            ));
        }
        let repo = with.text("repo").map(str::to_owned);
        if let Some(bad) = repo.as_ref().filter(|r| !plain(r)) {
            return Err(StepError::input(
                format!("`{}` is no repository of a snapshot", crate::wire::excerpt(bad)),
                "give the name under which mirror/snapshot took it in",
            ));
        }
        let carry = with.text("carry").is_none_or(|c| c == "true");
        let from = with.text("from").filter(|f| !f.is_empty()).map(str::to_owned);
        Ok(Self { from, name, to: with.text("to").unwrap_or("previous").to_owned(), repo, carry })
    }
}

/// `mirror/rollback`.
pub fn back(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    run(with, env, report)
}

/// `mirror/switch`.
pub fn run(with: &With, env: &StepEnv, report: &Report) -> Result<(), StepError> {
    let options = Options::read(with)?;
    let root = Root::open(with, env, false)?;
    let mut book = Book::open(&root.tree, &options.name)?;
    let key = book::key(env);
    if let Some(key) = &key
        && let Some(entry) = book.done.iter().rev().find(|e| e.key.as_ref() == Some(key)).cloned()
    {
        return again(&root, &book, &entry, report);
    }
    let now = root.tree.named(&options.name)?;
    let from = match &now {
        Named::Nothing | Named::Directory => None,
        Named::Link(text) => Some(text.clone()),
        Named::File | Named::Other => {
            return Err(StepError::refused(
                format!("{}/{} is neither a link nor a directory", root.tree.path().display(), options.name),
                "find out who put it there and remove it, or give another name",
            ));
        }
    };
    let to = target(&root, &options)?;
    if from.as_ref() == Some(&to) {
        return tell(&root, &options.name, &to, None, report);
    }
    expected(&root, &options, &now)?;
    let snapshot = whole(&root, &to, report)?;
    let at = env.clock.now();
    // A plain directory is read under its name; a link of somebody else's leads where it may.
    let served = from.clone().or_else(|| (now == Named::Directory).then(|| options.name.clone()));
    if let Some(served) = served.filter(|s| options.carry && within(&root.tree, s)) {
        let laid = carry::lay(&root.tree, &served, &to, &snapshot, at.as_microsecond())?;
        if laid.clashes > 0 {
            report.say(&format!(
                "{} names mean other bytes in {to}: readers that hold the old metadata in this moment may find a wrong checksum and ask again",
                laid.clashes
            ));
        }
        report.output("carried", &laid.files.to_string());
    }
    let adopt = (now == Named::Directory).then(|| adopted(&root, at)).transpose()?;
    let entry = Entry { key, from: from.clone(), to: to.clone(), adopt: adopt.clone(), at: at.to_string(), run: env.run.clone() };
    let intent = serde_json::json!({"root": root.tree.path().display().to_string(), "name": options.name, "from": from, "to": to});
    report.intent("mirror/switch", intent.as_object().cloned().unwrap_or_default());
    // An intent that is not durable is none.
    report.finish()?;
    book.switch(&root.tree, entry)?;
    report.remote("mirror", "pointer", &format!("{}/{} -> {to}", root.tree.path().display(), options.name));
    let before = from.or(adopt.map(|a| format!("{SNAPSHOTS}/{a}"))).unwrap_or_default();
    tell(&root, &options.name, &to, Some(&before), report)
}

/// Refuses where somebody has moved the pointer since it was decided that it may move.
fn expected(root: &Root, options: &Options, now: &Named) -> Result<(), StepError> {
    let Some(wanted) = &options.from else { return Ok(()) };
    let found = match now {
        Named::Link(text) => text.split('/').nth(1).unwrap_or(text).to_owned(),
        Named::Directory => "directory".to_owned(),
        Named::Nothing => "nothing".to_owned(),
        Named::File | Named::Other => "something else".to_owned(),
    };
    if found == *wanted {
        return Ok(());
    }
    Err(StepError::refused(
        format!("{}/{} leads to {}, not to {wanted}", root.tree.path().display(), options.name, crate::wire::excerpt(&found)),
        "somebody moved it since this was decided: nothing was switched; look who, then decide again",
    ))
}

/// A step that was started again: its switch was done.
fn again(root: &Root, book: &Book, entry: &Entry, report: &Report) -> Result<(), StepError> {
    let now = root.tree.named(&book.name)?;
    if now == Named::Link(entry.to.clone()) && book.done.last() == Some(entry) {
        report.say("this step's switch was made before it was started again");
        let before = entry.from.clone().or(entry.adopt.as_ref().map(|a| format!("{SNAPSHOTS}/{a}"))).unwrap_or_default();
        return tell(root, &book.name, &entry.to, Some(&before), report);
    }
    let last = book.done.last().unwrap_or(entry);
    let who = last.run.clone().unwrap_or_else(|| "somebody by hand".into());
    Err(StepError::refused(
        format!(
            "unknown: this step switched `{}` to {} at {}, and {who} switched it to {} at {}",
            book.name, entry.to, entry.at, last.to, last.at
        ),
        format!("look at {}/{}; to switch once more, start a new run", root.tree.path().display(), book.name),
    ))
}

/// The text of the link that is wanted.
fn target(root: &Root, options: &Options) -> Result<String, StepError> {
    if options.to == "previous" {
        let name = book::previous(&options.name);
        return match root.tree.named(&name)? {
            Named::Link(text) if within(&root.tree, &text) => Ok(text),
            Named::Link(text) => Err(StepError::refused(
                format!("{name} leads to {}, which is not in this root", crate::wire::excerpt(&text)),
                "go to a snapshot by its name: mirror/switch with to=ID",
            )),
            _ if root.tree.named(&options.name)? == Named::Nothing => {
                let mut known = refs::links(root)?;
                known.retain(|n| !n.ends_with(".previous"));
                let help = match suggest::nearest(&options.name, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`? there are: {}", known.join(", ")),
                    None if known.is_empty() => "there is none yet: mirror/switch makes the first".to_owned(),
                    None => format!("there are: {}", known.join(", ")),
                };
                Err(StepError::refused(format!("there is no pointer `{}` in {}", options.name, root.tree.path().display()), help))
            }
            _ => Err(StepError::refused(
                format!("`{}` has no previous: {}/{name} is not there", options.name, root.tree.path().display()),
                "go to a snapshot by its name: mirror/switch with to=ID",
            )),
        };
    }
    let snapshots = root.snapshots()?;
    let by_name = snapshots.iter().find(|(id, _)| *id == options.to);
    let by_content = || {
        let full = options.to.len() >= 12 && options.to.chars().all(|c| c.is_ascii_hexdigit());
        snapshots.iter().rev().find(|(_, m)| full && m.as_ref().is_some_and(|m| m.fp.starts_with(&options.to)))
    };
    let Some((id, _)) = by_name.or_else(by_content) else {
        let known: Vec<&str> = snapshots.iter().rev().take(5).map(|(id, _)| id.as_str()).collect();
        return Err(StepError::input(
            format!("there is no snapshot `{}` in {}", crate::wire::excerpt(&options.to), root.tree.path().display()),
            if known.is_empty() { "make one: mirror/snapshot".to_owned() } else { format!("there are: {}", known.join(", ")) },
        ));
    };
    Ok(match &options.repo {
        Some(repo) => format!("{SNAPSHOTS}/{id}/{repo}"),
        None => format!("{SNAPSHOTS}/{id}"),
    })
}

/// A relative link that stays in the root's snapshots.
fn within(tree: &Tree, text: &str) -> bool {
    let parts: Vec<&str> = text.split('/').collect();
    let inside = matches!(parts.as_slice(), [SNAPSHOTS, rest @ ..] if (1..=2).contains(&rest.len()) && rest.iter().all(|p| plain(p)));
    (inside || plain(text)) && matches!(tree.named(text), Ok(Named::Directory))
}

/// Refuses a target that is not what was verified. Gives the directory of its snapshot.
fn whole(root: &Root, to: &str, report: &Report) -> Result<String, StepError> {
    let id = to.split('/').nth(1).unwrap_or_default();
    let dir = format!("{SNAPSHOTS}/{id}");
    if root.tree.named(to)? != Named::Directory {
        return Err(StepError::refused(
            format!("{}/{to} is not there", root.tree.path().display()),
            "name another snapshot, or a repository that it has",
        ));
    }
    let Some(manifest) = root.manifest(id)? else {
        report.say(&format!("{dir} was not made by mirror/snapshot: what it holds was never verified"));
        return Ok(dir);
    };
    let damaged = root.damaged(&manifest)?;
    match damaged.first() {
        None => Ok(dir),
        Some(first) => Err(StepError::refused(
            format!("snapshot {id} is damaged: {} of its files are not what was verified, {first} is the first", damaged.len()),
            "nothing was switched: make a new snapshot, or name another one",
        )),
    }
}

fn adopted(root: &Root, at: jiff::Timestamp) -> Result<String, StepError> {
    let day = at.to_zoned(TimeZone::UTC).strftime("%Y%m%d").to_string();
    for n in 1..1_000 {
        let id = if n == 1 { format!("adopted-{day}") } else { format!("adopted-{day}-{n}") };
        if root.tree.named(&format!("{SNAPSHOTS}/{id}"))? == Named::Nothing {
            return Ok(id);
        }
    }
    Err(StepError::failed("a thousand directories were adopted today", "look at snapshots/"))
}

fn tell(root: &Root, name: &str, to: &str, before: Option<&str>, report: &Report) -> Result<(), StepError> {
    let path = root.tree.path().display().to_string();
    let previous = match root.tree.named(&book::previous(name))? {
        Named::Link(text) => text,
        _ => String::new(),
    };
    report.fact(Fact::Pointer { root: path.clone(), name: name.to_owned(), to: to.to_owned(), previous: previous.clone() });
    report.output("to", to.split('/').nth(1).unwrap_or(to));
    report.output("previous", previous.split('/').nth(1).unwrap_or_default());
    report.output("path", &root.tree.path().join(name).display().to_string());
    match before {
        None => {
            report.detail("no-change");
            report.summary(&format!("{path}/{name} leads to {to} already"));
        }
        Some(before) => {
            let was = if before.is_empty() { "nothing" } else { before };
            report.detail(&format!("{name} -> {to}, before: {was}"));
            report.summary(&format!("{path}/{name} -> {to}, before: {was}"));
        }
    }
    report.finish()
}
