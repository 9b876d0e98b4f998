//! One place judged: its state, how urgent that is, the true reason, and what to do next.

use super::light::Light;
use super::{Compose, DOUBT_US, Observed, Signed, Trouble, signed};
use crate::domain::mirror::{self, Probe, Relation, State};

/// What is known of the upstream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Up<'a> {
    /// The last look.
    pub seen: Option<&'a Observed>,
    /// The last content of it that was whole.
    pub whole: Option<&'a Observed>,
    /// Newest first.
    pub history: &'a [Compose],
}

/// What a closer look (`mirror/verify`) found of the place. It counts while the metadata is the one that was verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    pub md: Option<String>,
    pub missing: u64,
    pub short: u64,
    pub damaged: u64,
}

/// What the site says, and what time it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules<'a> {
    pub now_us: i64,
    /// Why the repository stands still.
    pub frozen: Option<&'a str>,
    /// There is an upstream to be compared with.
    pub compared: bool,
    pub writer: &'a str,
    pub repo: &'a str,
    /// The site names the keys that its upstream signs with.
    pub keys: bool,
}

/// What is said of one place of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    pub state: Option<State>,
    pub light: Light,
    /// Composes behind; `at_least` where not all of them were seen.
    pub composes: u64,
    pub at_least: bool,
    /// The true reason, and what to do next: a sentence each, for people; empty where nothing is to be said.
    pub why: String,
    pub next: String,
    /// What stands in the place of the state's word; mostly empty.
    pub word: &'static str,
}

impl Judged {
    pub fn state(&self) -> State {
        self.state.unwrap_or(State::Unknown)
    }

    fn of(state: State, light: Light, why: impl Into<String>, next: impl Into<String>) -> Self {
        Self { state: Some(state), light, why: why.into(), next: next.into(), ..Self::default() }
    }
}

fn counted(n: u64) -> String {
    crate::base::count::s(n, "package")
}

/// `1 package is`, `2 packages are`.
fn are(n: u64) -> String {
    format!("{} {}", counted(n), if n == 1 { "is" } else { "are" })
}

fn probe(o: &Observed, up: Up<'_>, verified: Option<&Verified>, rules: &Rules<'_>) -> Probe {
    let close = verified.filter(|v| v.md.is_some() && v.md == o.md);
    Probe {
        unreachable: matches!(o.trouble, Trouble::Silent(_)),
        absent: matches!(o.trouble, Trouble::Gone(_)),
        damaged: close.map_or(0, |v| v.damaged) + u64::from(matches!(o.trouble, Trouble::Torn(_))),
        missing: o.missing.max(close.map_or(0, |v| v.missing)),
        lost: lost_on_the_way(o, up),
        short: o.short.max(close.map_or(0, |v| v.short)),
        moved: o.trouble == Trouble::Moved,
        held: o.held,
        snapshot: o.snapshot.clone(),
        relation: relation(o, up, rules),
    }
}

/// Packages that its writer says it took from upstream's metadata, and that are not here: Cobbler's noarch loss.
fn lost_on_the_way(o: &Observed, up: Up<'_>) -> u64 {
    match up.whole {
        Some(w) if o.origin.is_some() && o.origin == w.md && o.fp.is_some() && o.fp != w.fp => o.lacking,
        _ => 0,
    }
}

fn relation(o: &Observed, up: Up<'_>, rules: &Rules<'_>) -> Relation {
    if !rules.compared || rules.frozen.is_some() {
        return Relation::Unasked;
    }
    let silent = up.seen.is_none_or(|s| matches!(s.trouble, Trouble::Silent(_)));
    let Some(w) = up.whole else { return if silent { Relation::NoAnswer } else { Relation::Unasked } };
    if silent {
        return Relation::NoAnswer;
    }
    let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
    if same(&o.md, &w.md) || same(&o.fp, &w.fp) || (o.fp.is_none() && same(&o.origin, &w.md)) {
        return Relation::Same;
    }
    Relation::Differs { lacking: o.lacking, surplus: o.surplus, ours: o.newest, theirs: w.newest }
}

/// Composes of upstream since the one that this place has.
fn count(o: &Observed, history: &[Compose]) -> (u64, bool) {
    let found = history
        .iter()
        .position(|c| o.fp.as_ref() == Some(&c.fp) || o.md.as_ref() == Some(&c.md) || (o.fp.is_none() && o.origin.as_ref() == Some(&c.md)));
    match found {
        Some(n) => (n.max(1) as u64, false),
        None => {
            let later = history.iter().filter(|c| c.newest > o.newest).count();
            (later.max(1) as u64, true)
        }
    }
}

/// Judges one place of a repository.
pub fn judge(o: &Observed, up: Up<'_>, verified: Option<&Verified>, rules: &Rules<'_>) -> Judged {
    let p = probe(o, up, verified, rules);
    let doubt = if o.suspect_us.is_some_and(|s| rules.now_us - s < DOUBT_US) { Light::Amber } else { Light::Red };
    let repair = match rules.writer {
        "quarterdeck" => format!("run the pipeline that writes {}: mirror/sync repairs what is missing", rules.repo),
        "cobbler" => format!("reposync {} again, then look", rules.repo),
        _ => "tell whoever writes it".to_owned(),
    };
    // What it lost comes before what it lacks: a sync from an emptied upstream agrees with it perfectly.
    if o.was > 0 {
        let why = format!("it had {} packages and has {}", o.was, if p.absent { 0 } else { o.packages });
        let next = "look at its upstream and its writer before anything syncs again; if the upstream ended, set frozen = \"why\"";
        return Judged::of(State::Shrunk, Light::Red, why, next);
    }
    if let Trouble::Torn(why) = &o.trouble {
        return Judged::of(State::Incoherent, doubt, why.clone(), format!("a push may be on its way; if it stays so, {repair}"));
    }
    let state = mirror::judge(&p);
    match state {
        State::Unreachable if p.unreachable => {
            let next = match o.at.starts_with("http") {
                true => "look at its web server: hosts of that datacentre read it",
                false => "look at its directory and its mount (findmnt, df): what else reads it on this host may wait for it too",
            };
            Judged::of(state, Light::Red, o.trouble.why(), next)
        }
        State::Unreachable => {
            let why = up.seen.map_or("not asked yet", |s| s.trouble.why());
            Judged::of(state, Light::Amber, format!("nobody can say: its upstream does not answer ({why})"), "look at the upstream")
        }
        State::Damaged => {
            let n = verified.map_or(0, |v| v.damaged);
            Judged::of(state, Light::Red, format!("{n} packages are not what the metadata says"), repair)
        }
        State::Partial => partial(o, &p, up, doubt, repair),
        State::Syncing if p.moved => Judged::of(state, Light::Amber, "it changed while it was looked at", "look again: r"),
        State::Syncing => Judged::of(state, Light::Amber, "a writer holds it", "wait for its run"),
        State::Unknown if p.absent => Judged::of(state, Light::Red, format!("there is no repository: {}", o.trouble.why()), repair),
        _ if rules.frozen.is_some() => {
            Judged::of(State::Frozen, Light::Good, rules.frozen.unwrap_or_default(), "nothing: it stands still on purpose")
        }
        State::Pinned => {
            let id = o.snapshot.as_deref().unwrap_or_default();
            Judged::of(state, Light::Good, format!("it is the snapshot {id}"), "")
        }
        State::InSync => Judged::of(state, Light::Good, "the same as upstream", ""),
        State::Behind => {
            let (composes, at_least) = count(o, up.history);
            let more = if at_least { "at least " } else { "" };
            let plural = if composes == 1 { "" } else { "s" };
            let why = format!("upstream is {more}{composes} compose{plural} ahead: {} not here", are(o.lacking));
            Judged { composes, at_least, ..Judged::of(state, Light::Amber, why, format!("its next sync, or now: {repair}")) }
        }
        State::Ahead => {
            let why = match o.surplus {
                0 => "it has the packages of upstream under other, younger metadata: groups, modules or errata differ".to_owned(),
                n => format!("it has {} that upstream has not, and is younger", counted(n)),
            };
            Judged::of(state, Light::Amber, why, "upstream went back, or somebody else writes here: ask before the next sync")
        }
        State::Unknown if !rules.compared => {
            Judged::of(state, Light::Unknown, "whole, but it has no upstream to be compared with", "add upstream to [repos]")
        }
        _ => {
            let why = match up.seen.map_or("", |s| s.trouble.why()) {
                // It answers, and is a push in the middle or torn since it was asked first.
                "" => "nothing whole of its upstream has been seen yet: there is nothing to compare it with".to_owned(),
                why => format!("its upstream cannot be read: {why}"),
            };
            Judged::of(state, Light::Unknown, why, "look at the upstream")
        }
    }
}

fn partial(o: &Observed, p: &Probe, up: Up<'_>, doubt: Light, repair: String) -> Judged {
    if lost_on_the_way(o, up) > 0 {
        let why = format!("its metadata was made from upstream's, and of that {} not here", are(o.lacking));
        return Judged::of(
            State::Partial,
            Light::Red,
            why,
            format!("{repair}; Cobbler leaves noarch out unless reposync_flags say `-a noarch`"),
        );
    }
    let of = if o.sampled > 0 { format!(" of {} that were asked for", o.sampled) } else { String::new() };
    let same = up.whole.is_some_and(|w| w.md.is_some() && w.md == o.md);
    let metadata = if same { ", though its metadata is upstream's" } else { "" };
    let first = if o.first.is_empty() { String::new() } else { format!("; first: {}", o.first) };
    let why = format!("{} missing and {} have another size{of}{metadata}{first}", are(p.missing), p.short);
    Judged::of(State::Partial, doubt, why, repair)
}

/// Judges the upstream itself.
pub fn judge_upstream(up: Up<'_>, rules: &Rules<'_>) -> Judged {
    if let Some(why) = rules.frozen {
        return Judged::of(State::Frozen, Light::Good, why, "");
    }
    let Some(o) = up.seen else { return Judged::of(State::Unknown, Light::Unknown, "not asked yet", "") };
    let doubt = if o.suspect_us.is_some_and(|s| rules.now_us - s < DOUBT_US) { Light::Amber } else { Light::Red };
    let freeze = format!("nothing may sync from it; if it ended, say so: [repos.{}] frozen = \"why\"", rules.repo);
    match &o.trouble {
        Trouble::Silent(why) => Judged::of(State::Unreachable, Light::Amber, why.clone(), "it is asked again by itself"),
        Trouble::Gone(why) if o.was > 0 => Judged::of(State::Shrunk, Light::Red, format!("all {} packages are gone: {why}", o.was), freeze),
        Trouble::Gone(why) => Judged::of(State::Unknown, Light::Red, format!("there is no repository: {why}"), "correct `upstream`"),
        _ if o.was > 0 => Judged::of(State::Shrunk, Light::Red, format!("it had {} packages and has {}", o.was, o.packages), freeze),
        Trouble::Torn(why) => {
            Judged::of(State::Incoherent, doubt, format!("it is being pushed, or is torn: {why}"), "wait: it is asked again by itself")
        }
        Trouble::Moved => Judged::of(State::Syncing, Light::Amber, "it changed while it was read", ""),
        Trouble::None if o.missing + o.short > 0 => {
            let why = format!(
                "it is being pushed, or is torn: {} of {} packages are not there; first: {}",
                o.missing + o.short,
                o.sampled,
                o.first
            );
            Judged::of(State::Incoherent, doubt, why, "wait: it is asked again by itself")
        }
        Trouble::None => match (&o.signed, signed::doubt(o, rules.keys, rules.repo)) {
            (Signed::Bad(why), _) => {
                let why = format!("repodata/repomd.xml.asc does not sign its repomd.xml: {why}");
                Judged::of(State::Incoherent, doubt, why, "a push may be on its way; if it stays so, nothing may sync from it")
            }
            (_, Some(d)) => Judged { word: d.word, ..Judged::of(State::InSync, d.light, d.why, d.next) },
            (_, None) => Judged::of(State::InSync, Light::Good, "whole, as far as was looked", ""),
        },
    }
}
