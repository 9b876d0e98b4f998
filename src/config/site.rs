//! The site file: its types, its rules, and every error with a line and a column. Text in, `Site` out; no I/O.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::de::DeTable;

use super::problem::Problem;
use super::read::{At, Named, Notes, Reference, Table};
use crate::base::suggest;
use crate::domain::log::Patterns;
use crate::domain::run::valid_name;
use crate::pipeline::catalog::Notifier;
use crate::pipeline::schema::{MAX_SEARCHES, search};

mod cobbler;
mod notify;
mod promotion;
mod repos;
mod secrets;
mod trees;
mod values;

pub use cobbler::Cobbler;
pub use promotion::{Dc, Evidence, Promotion};
pub use repos::{Replica, Repo};
pub use secrets::{Secret, SecretSource};

use values::{absolute, argv};

/// What `site.toml` says. Everything has a default, so an empty file is a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// IANA name; the default of every trigger.
    pub time_zone: String,
    /// Nothing may be changed through this site.
    pub read_only: bool,
    pub scheduler: Scheduler,
    pub second_person: SecondPerson,
    /// Socket of the shared engine; none = each user has a private one.
    pub socket: Option<PathBuf>,
    /// Only this group and the engine's user may open the shared socket; none = everybody, and roles decide.
    pub socket_group: Option<String>,
    /// Steps that run at once.
    pub executors: u32,
    /// Lock → slots.
    pub locks: BTreeMap<String, u32>,
    pub secrets: BTreeMap<String, Secret>,
    /// Role → members (`user`, or `@group`). None = the site has no `[roles]`: everybody views on a shared engine.
    pub roles: Option<BTreeMap<String, Vec<String>>>,
    pub repos: BTreeMap<String, Repo>,
    pub content: BTreeMap<String, ContentSet>,
    /// Cobbler servers: `[cobbler.NAME]`.
    pub cobblers: BTreeMap<String, Cobbler>,
    /// Directories below which `mirror/*` may write; empty = no limit.
    pub mirror_roots: Vec<PathBuf>,
    /// Lines of logs that are first errors, and lines that are none, beside those that we know.
    pub log: Patterns,
    /// Run by the engine when a run ends badly: argv, no shell.
    pub on_failure: Option<Vec<String>>,
    /// What tells people: `[notify.NAME]`.
    pub notifiers: BTreeMap<String, Notifier>,
    /// OS major → how it is promoted.
    pub promotion: BTreeMap<String, Promotion>,
    /// Who signs evidence; none = it is unsigned, and says so.
    pub evidence: Option<Evidence>,
    /// The console's theme; none = the one that suits the terminal. Whether there is such a theme the console says.
    pub console_theme: Option<String>,
    /// Colours of the terminals here: one of [`COLOURS`]; none = as each terminal says.
    pub console_colours: Option<String>,
}

/// What `[console] colors` may say.
pub const COLOURS: [&str; 4] = ["none", "16", "256", "true"];

/// A site file that is right.
pub struct Examined {
    pub site: Site,
    /// What it names outside of itself.
    pub references: Vec<Reference>,
    /// What will hardly do what was meant.
    pub doubts: Vec<Problem>,
}

/// Which engine fires the schedules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Scheduler {
    /// Only a shared engine.
    #[default]
    Shared,
    /// A private engine too.
    Private,
    /// None.
    Off,
}

/// What a private engine does with an action that needs a second person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SecondPerson {
    #[default]
    Required,
    /// It passes, and is recorded as a single person's.
    None,
}

/// Repositories that are judged together.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContentSet {
    pub repos: Vec<String>,
    pub os: String,
}

/// Roles that actions ask for; a site may add others for its approvals.
pub const ROLES: [&str; 5] = ["viewer", "operator", "release-manager", "security", "admin"];

impl Default for Site {
    fn default() -> Self {
        Self {
            time_zone: "UTC".into(),
            read_only: false,
            scheduler: Scheduler::default(),
            second_person: SecondPerson::default(),
            socket: None,
            socket_group: None,
            executors: 2,
            locks: BTreeMap::new(),
            secrets: BTreeMap::new(),
            roles: None,
            repos: BTreeMap::new(),
            content: BTreeMap::new(),
            cobblers: BTreeMap::new(),
            mirror_roots: Vec::new(),
            log: Patterns::default(),
            on_failure: None,
            notifiers: BTreeMap::new(),
            promotion: BTreeMap::new(),
            evidence: None,
            console_theme: None,
            console_colours: None,
        }
    }
}

impl Site {
    /// The slots of a lock; one that is not listed has one.
    pub fn slots(&self, lock: &str) -> u32 {
        self.locks.get(lock).copied().unwrap_or(1)
    }

    /// Reads a site file. Either the whole site, or every problem in it.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        Self::examine(text).map(|e| e.site)
    }

    /// As [`Site::parse`], with what somebody who checks the file wants to know beside it.
    pub fn examine(text: &str) -> Result<Examined, Vec<Problem>> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let notes = Notes::new(text);
        if !errors.is_empty() {
            return Err(notes.no_toml(&errors));
        }
        let site = read(Table::new(root.get_ref(), &notes, ""), &notes);
        let (references, doubts) = (notes.references(), notes.doubts());
        let problems = notes.finish();
        if problems.is_empty() { Ok(Examined { site, references, doubts }) } else { Err(problems) }
    }

    /// Content set → repositories, as pipelines see it.
    pub fn set_repos(&self) -> BTreeMap<String, Vec<String>> {
        self.content.iter().map(|(k, v)| (k.clone(), v.repos.clone())).collect()
    }
}

fn read(root: Table<'_, '_, '_>, notes: &Notes<'_>) -> Site {
    let mut site = Site::default();
    if let Some(zone) = root.text("time_zone") {
        if crate::base::zone::named(&zone.value).is_none() {
            notes.add(
                zone.span,
                format!("no time zone `{}`", zone.value),
                "write an IANA name, such as Europe/Berlin, America/Chicago or UTC",
            );
        }
        site.time_zone = zone.value;
    }
    site.read_only = root.bool("read_only").unwrap_or(false);
    let schedulers = [("shared", Scheduler::Shared), ("private", Scheduler::Private), ("off", Scheduler::Off)];
    site.scheduler = choice(&root, "scheduler", &schedulers, notes).unwrap_or_default();
    let persons = [("required", SecondPerson::Required), ("none", SecondPerson::None)];
    site.second_person = choice(&root, "second_person", &persons, notes).unwrap_or_default();

    engine(&root, notes, &mut site);
    if let Some((runner, _)) = root.table("runner") {
        site.executors = runner.int("executors", 1..=1024).unwrap_or(site.executors);
        runner.close();
    }
    site.locks = locks(&root, notes);
    for entry in root.named("secrets") {
        name_of("secret", &entry.name, notes);
        if let Some(secret) = secrets::read(&root, &entry, notes) {
            site.secrets.insert(entry.name.value, secret);
        }
    }
    site.roles = roles(&root, notes);
    let (mut named, mut of_cobbler) = (Vec::new(), Vec::new());
    for entry in root.tables_by_name("repos") {
        name_of("repository", &entry.name, notes);
        if let Some(table) = root.entry("repos", &entry) {
            let (repo, places) = repos::read(&entry.name, &table, notes);
            table.close();
            named.extend(places.tree);
            of_cobbler.extend(places.cobbler);
            site.repos.insert(entry.name.value, repo);
        }
    }
    named.sort_by_key(|n| n.span.start);
    trees::apart(&named, &site.repos, notes);
    site.content = content(&root, notes, &site.repos);
    for entry in root.tables_by_name("cobbler") {
        name_of("Cobbler", &entry.name, notes);
        let Some(table) = root.entry("cobbler", &entry) else { continue };
        if let Some(one) = cobbler::read(&table, &entry.name, &site.secrets, notes) {
            site.cobblers.insert(entry.name.value.clone(), one);
        }
        table.close();
    }
    if !root.has("cobbler") {
        for writer in of_cobbler {
            let message = "`writer` is a Cobbler, and this file names none: nothing here can start its reposync, or ask what it mirrored";
            notes.doubt(writer, message, "add a table [cobbler.NAME] with url, user and secret, or write writer = \"external\"");
        }
    }
    if let Some((mirror, _)) = root.table("mirror") {
        let roots = mirror.texts("roots").unwrap_or_default();
        site.mirror_roots = roots.into_iter().filter_map(|r| absolute(r, notes)).map(|r| r.value.into()).collect();
        trees::below(&named, &site, notes);
        mirror.close();
    }
    if let Some((log, _)) = root.table("log") {
        site.log = patterns(&log, notes);
        log.close();
    }
    let (promotions, mut roots) = promotion::read(&root, notes, &site.content);
    roots.sort_by_key(|r| r.span.start);
    trees::roots(&named, &promotions, &roots, notes);
    site.promotion = promotions;
    site.evidence = promotion::evidence(&root, notes);
    site.on_failure = on_failure(&root, notes);
    for entry in root.tables_by_name("notify") {
        name_of("notifier", &entry.name, notes);
        let Some(table) = root.entry("notify", &entry) else { continue };
        if let Some(one) = notify::read(&table, &entry, &site.secrets, notes) {
            site.notifiers.insert(entry.name.value.clone(), one);
        }
        table.close();
    }
    console(&root, notes, &mut site);
    root.close();
    site
}

fn engine(root: &Table<'_, '_, '_>, notes: &Notes<'_>, site: &mut Site) {
    let Some((engine, _)) = root.table("engine") else { return };
    site.socket = engine.text("socket").and_then(|s| socket_path(s, notes)).map(|s| s.value.into());
    if let Some(group) = engine.text("group") {
        let named = !group.value.is_empty() && !group.value.starts_with('-') && !group.value.contains([':', '@', '/', ' ']);
        if !named {
            notes.add(group.span.clone(), format!("`{}` is no name of a group", group.value), "write group = \"ops\"");
        } else if !engine.has("socket") {
            let help = "add socket = \"/run/quarterdeck/engine.sock\"";
            notes.add(group.span.clone(), "`group` is who may open the shared socket, and no socket is named", help);
        }
        site.socket_group = named.then_some(group.value);
    }
    engine.close();
}

fn locks(root: &Table<'_, '_, '_>, notes: &Notes<'_>) -> BTreeMap<String, u32> {
    let mut all = BTreeMap::new();
    for entry in root.tables_by_name("locks") {
        name_of("lock", &entry.name, notes);
        let Some(lock) = root.entry("locks", &entry) else { continue };
        all.insert(entry.name.value.clone(), lock.int("slots", 1..=10_000).unwrap_or(1));
        lock.close();
    }
    all
}

/// None where the site has no `[roles]`; an empty one gives nobody a role.
fn roles(root: &Table<'_, '_, '_>, notes: &Notes<'_>) -> Option<BTreeMap<String, Vec<String>>> {
    let roles = root.named("roles");
    if !roles.is_empty() {
        let mut map = BTreeMap::new();
        for entry in roles {
            role(&entry.name, notes);
            let members = entry.texts(notes).unwrap_or_default();
            let odd = |c: char| c.is_whitespace() || c.is_control() || c == '@';
            for m in members.iter().filter(|m| {
                let name = m.value.strip_prefix('@').unwrap_or(&m.value);
                name.is_empty() || name.contains(odd)
            }) {
                notes.add(m.span.clone(), format!("`{}` is no user or group", m.value), "write \"user\" or \"@group\"");
            }
            map.insert(entry.name.value, members.into_iter().map(|m| m.value).collect());
        }
        return Some(map);
    }
    root.has("roles").then(BTreeMap::new)
}

fn content(root: &Table<'_, '_, '_>, notes: &Notes<'_>, known: &BTreeMap<String, Repo>) -> BTreeMap<String, ContentSet> {
    let mut sets = BTreeMap::new();
    for entry in root.tables_by_name("content") {
        name_of("content set", &entry.name, notes);
        let Some(table) = root.entry("content", &entry) else { continue };
        let repos = table.texts("repos").unwrap_or_default();
        if repos.is_empty() {
            notes.add(entry.name.span.clone(), format!("content set `{}` has no repositories", entry.name.value), "add repos = [\"NAME\"]");
        }
        for (i, r) in repos.iter().enumerate() {
            if repos[..i].iter().any(|other| other.value == r.value) {
                notes.add(r.span.clone(), format!("`{}` stands twice in this set", r.value), "take one out");
            }
        }
        for r in repos.iter().filter(|r| !known.contains_key(&r.value)) {
            let help = suggest::meant(&r.value, known.keys().map(String::as_str), format!("add a table [repos.{}]", r.value));
            notes.add(r.span.clone(), format!("no repository `{}` in this file", r.value), help);
        }
        let os = table.text("os").map(|t| t.value).unwrap_or_default();
        table.close();
        sets.insert(entry.name.value, ContentSet { repos: repos.into_iter().map(|r| r.value).collect(), os });
    }
    sets
}

fn on_failure(root: &Table<'_, '_, '_>, notes: &Notes<'_>) -> Option<Vec<String>> {
    let (failure, span) = root.table("on_failure")?;
    let command = failure.text("command");
    if !failure.has("command") {
        notes.add(span, "[on_failure] has no command", "add command = \"program argument …\"");
    }
    failure.close();
    argv(&command?, notes)
}

fn console(root: &Table<'_, '_, '_>, notes: &Notes<'_>, site: &mut Site) {
    let Some((console, _)) = root.table("console") else { return };
    site.console_theme = console.text("theme").map(|t| {
        notes.refers(Named::Theme, t.clone());
        t.value
    });
    if let Some(colours) = console.text("colors") {
        match COLOURS.contains(&colours.value.as_str()) {
            true => site.console_colours = Some(colours.value),
            false => notes.add(
                colours.span,
                "this is no number of colours",
                format!("write one of {}", COLOURS.map(|c| format!("\"{c}\"")).join(", ")),
            ),
        }
    }
    console.close();
}

/// `[log.errors] NAME = "…"` and `[log] harmless = ["…"]`. One that cannot be built is told here, at its place, and never reaches a log.
fn patterns(log: &Table<'_, '_, '_>, notes: &Notes<'_>) -> Patterns {
    let mut out = Patterns::default();
    let many = |span: std::ops::Range<usize>| {
        let message = format!("more than {MAX_SEARCHES} expressions: each line of a red step's log is held against all of them");
        notes.add(span, message, "join those that belong together: a|b");
    };
    let built = |re: &At<String>| match search(&re.value) {
        Ok(_) => true,
        Err(why) => {
            notes.add(
                re.span.clone(),
                format!("this is no regular expression for a log: {why}"),
                "single quotes keep backslashes: '^E\\d+: '",
            );
            false
        }
    };
    for entry in log.named("errors") {
        name_of("pattern", &entry.name, notes);
        let Some(re) = entry.text(notes, "a regular expression in quotes").filter(built) else { continue };
        if out.errors.len() == MAX_SEARCHES {
            many(entry.name.span);
            break;
        }
        out.errors.push((entry.name.value, re.value));
    }
    for re in log.texts("harmless").unwrap_or_default() {
        if out.harmless.len() == MAX_SEARCHES {
            many(re.span);
            break;
        }
        if built(&re) {
            out.harmless.push(re.value);
        }
    }
    out
}

fn choice<T: Copy>(table: &Table<'_, '_, '_>, key: &'static str, of: &[(&'static str, T)], notes: &Notes<'_>) -> Option<T> {
    let text = table.text(key)?;
    let found = of.iter().find(|(name, _)| *name == text.value).map(|(_, v)| *v);
    if found.is_none() {
        let names: Vec<&str> = of.iter().map(|(n, _)| *n).collect();
        let help = match suggest::nearest(&text.value, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("write one of \"{}\"", names.join("\", \"")),
        };
        notes.add(text.span, format!("`{key}` cannot be \"{}\"", text.value), help);
    }
    found
}

fn name_of(what: &str, name: &At<String>, notes: &Notes<'_>) {
    if !valid_name(&name.value) {
        let help = "names are lower case letters, digits and . _ -, begin with a letter or digit, and have at most 64 characters";
        notes.add(name.span.clone(), format!("`{}` cannot be the name of a {what}", name.value), help);
    }
}

/// A site may add roles; what is nearly one of ours is a slip, and would silently give nobody that role.
fn role(name: &At<String>, notes: &Notes<'_>) {
    name_of("role", name, notes);
    if !ROLES.contains(&name.value.as_str())
        && let Some(near) = suggest::nearest(&name.value, ROLES)
    {
        notes.add(name.span.clone(), format!("no role `{}`", name.value), format!("did you mean `{near}`?"));
    }
}

/// A path of any length can be reached through its directory, but the last name must fit into a socket's address.
fn socket_path(path: At<String>, notes: &Notes<'_>) -> Option<At<String>> {
    let path = absolute(path, notes)?;
    let name = path.value.rsplit('/').next().unwrap_or_default().len();
    if name == 0 {
        notes.add(path.span, "this names a directory, and a socket is a file", "write socket = \"/run/quarterdeck/engine.sock\"");
        return None;
    }
    if name > MOST_OF_A_SOCKET {
        notes.add(
            path.span,
            format!("the name of this socket has {name} bytes"),
            format!("{MOST_OF_A_SOCKET} bytes at most: give it a shorter one"),
        );
        return None;
    }
    Some(path)
}

/// An address holds 108 bytes, and `/proc/self/fd/N/` stands before the name.
const MOST_OF_A_SOCKET: usize = 80;

#[cfg(test)]
mod tests;
