//! Rules of promotions: the table of states, gates that never pass on what is stale or unknown, a sha that moves with every input.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::gate::{Back, Calendar, Facts, FirstSeen, GATES, Gate, Judge, Lost, Outcome, Rules, Signatures, Source};
use super::hold::Hold;
use super::hold_tests::hold;
use super::judge::judge;
use super::plan::{self, Blast, FORMAT, Move, Plan};
use super::pointer::Led;
use super::state::{Act, State, next};
use super::streak::{self, Colour, Verdict};
use super::*;
use crate::domain::changelog::Known;

const H: i64 = 3_600 * 1_000_000;
const NOW: i64 = 2_000 * H;
const FP: &str = "aa11";

fn seen(at_us: i64) -> FirstSeen {
    FirstSeen { at_us, alone: false }
}

fn known<T>(value: T) -> Source<T> {
    Source::Known { value, at_us: NOW }
}

fn replica(fp: &str) -> Source<gate::Replica> {
    known(gate::Replica { fp: fp.into(), md: "m".into() })
}

fn verdict(kind: &str, run: u32, hours_ago: i64, colour: Colour) -> Verdict {
    Verdict {
        kind: kind.into(),
        os: "el9".into(),
        set: "el9-latest".into(),
        fp: FP.into(),
        run: format!("{kind}#{run}"),
        colour,
        at_us: NOW - hours_ago * H,
    }
}

fn greens(kind: &str) -> Vec<Verdict> {
    (0..3).map(|n| verdict(kind, n, 25 - i64::from(n) * 8, Colour::Green)).collect()
}

/// Everything that can be known passes.
fn facts() -> Facts {
    let dcs = ["alder", "birch"];
    let kinds = ["canary:image", "canary:rpm", "canary:inspector", "formula:base"];
    Facts {
        now_us: NOW,
        id: "PR-2026Q2-el9".into(),
        os: "el9".into(),
        judges: Vec::new(),
        replicas: dcs.iter().map(|d| ((*d).to_owned(), replica(FP))).collect(),
        fp: known(FP.into()),
        first_seen: known(seen(NOW - 100 * H)),
        verdicts: known(kinds.iter().flat_map(|k| greens(k)).collect()),
        labels: kinds.iter().map(|k| (*k).to_owned()).collect(),
        soak: Source::Missing("[salt]".into()),
        signatures: known(Signatures { checked: 9, metadata: 1, bad: vec![], keys: vec!["8483c65d".into()] }),
        lost: known(Vec::new()),
        agents: Source::Missing("[agents]".into()),
        calendar: known(Calendar::Open { calendar: "changes".into() }),
        back: dcs.iter().map(|d| ((*d).to_owned(), known(Back { snapshot: Some("20260101-ab".into()), room: true }))).collect(),
    }
}

fn rules() -> Rules {
    let without = [Gate::G6, Gate::G8].map(|g| (g, "none here, reviewed".to_owned()));
    Rules { without: BTreeMap::from(without), ..Rules::default() }
}

fn outcome(f: &Facts, r: &Rules, gate: Gate) -> Outcome {
    judge(f, r, &[]).into_iter().find(|j| j.gate == gate).unwrap().outcome
}

#[test]
fn with_everything_known_and_good_all_pass_and_what_has_no_source_only_where_the_site_says_why() {
    let all = judge(&facts(), &rules(), &[]);
    assert!(all.iter().all(|j| j.outcome.passes()), "{all:?}");
    assert_eq!(all.iter().filter(|j| j.outcome == Outcome::Ok).count(), 8);
    let bare = judge(&facts(), &Rules::default(), &[]);
    let failing: Vec<Gate> = bare.iter().filter(|j| !j.outcome.passes()).map(|j| j.gate).collect();
    assert_eq!(failing, [Gate::G6, Gate::G8]);
    assert_eq!(bare[5].outcome.to_string(), "N/A: no source (add [salt])");
    // Of the two halves of G7 one is judged, and the other is said to have no source, in the words and in the plan.
    let signed = judge(&facts(), &Rules::default(), &[]).remove(6);
    let cve = "known-exploited CVE ids: N/A: no source (this version reads none)";
    assert!(signed.outcome == Outcome::Ok && signed.detail.ends_with(cve) && signed.evidence.contains(&cve.to_owned()), "{signed:?}");
}

#[test]
fn each_gate_fails_for_its_own_reason() {
    type Change = fn(&mut Facts);
    let cases: [(Gate, Change, &str); 14] = [
        (
            Gate::G1,
            |f| {
                f.replicas.insert("cedar".into(), replica("bb"));
            },
            "FAIL",
        ),
        (Gate::G1, |f| f.replicas.clear(), "STALE"),
        (Gate::G2, |f| f.first_seen = known(seen(NOW - 71 * H)), "PENDING"),
        (Gate::G2, |f| f.first_seen = known(seen(NOW + H)), "STALE"),
        (Gate::G3, |f| f.labels.retain(|l| l != "canary:image"), "N/A"),
        (Gate::G3, |f| f.verdicts = known(vec![verdict("canary:image", 1, 1, Colour::Green)]), "PENDING"),
        (Gate::G4, |f| f.verdicts = known([greens("canary:rpm"), vec![verdict("canary:inspector", 1, 1, Colour::Red)]].concat()), "FAIL"),
        (Gate::G4, |f| f.verdicts = known(greens("canary:rpm")), "PENDING"),
        // Half of it has no source: what the other half says does not make it OK.
        (Gate::G4, |f| f.labels.retain(|l| l != "canary:inspector"), "N/A"),
        (Gate::G5, |f| f.verdicts = known(vec![verdict("formula:base", 1, 27, Colour::Green)]), "STALE"),
        (Gate::G7, |f| f.signatures = known(Signatures { checked: 9, metadata: 1, bad: vec!["evil".into()], keys: vec![] }), "FAIL"),
        (Gate::G7, |f| f.signatures = known(Signatures::default()), "STALE"),
        (Gate::G9, |f| f.calendar = known(Calendar::Closed { calendar: "c".into(), freeze: false, why: "w".into() }), "PENDING"),
        (
            Gate::G10,
            |f| {
                f.back.insert("cedar".into(), known(Back { snapshot: None, room: true }));
            },
            "FAIL",
        ),
    ];
    for (gate, change, word) in cases {
        let mut f = facts();
        change(&mut f);
        assert_eq!(outcome(&f, &rules(), gate).word(), word, "{gate}");
        assert!(!judge(&f, &rules(), &[]).iter().all(|j| j.outcome.passes()), "{gate}");
    }
}

#[test]
fn a_streak_counts_greens_of_one_content_apart_and_a_red_begins_it_anew() {
    let v = |n, ago, c| verdict("canary:image", n, ago, c);
    let all = [v(1, 30, Colour::Green), v(2, 29, Colour::Green), v(3, 20, Colour::Invalid), v(4, 10, Colour::Green)];
    let s = streak::of(&all, "canary:image", FP, 2 * H);
    assert_eq!(s.green, ["canary:image#1", "canary:image#4"], "29 h ago was too near, invalid says nothing");
    let red = [all.as_slice(), &[v(5, 5, Colour::Red)]].concat();
    let s = streak::of(&red, "canary:image", FP, 2 * H);
    assert!(s.green.is_empty() && s.red.is_some());
    let s = streak::of(&[red.as_slice(), &[v(6, 1, Colour::Green)]].concat(), "canary:image", FP, 2 * H);
    assert_eq!((s.green.len(), s.red), (1, None));
    assert_eq!(streak::of(&all, "canary:image", "other", 0), streak::Streak::default());
    let nowhere = Verdict { fp: String::new(), ..v(9, 1, Colour::Green) };
    assert!(streak::of(&[nowhere], "canary:image", "", 0).green.is_empty(), "unknown content equals nothing");
}

#[test]
fn a_waiver_needs_two_and_ends() {
    let mut f = facts();
    f.verdicts = known(vec![]);
    let ann = Actor::person("ann", 1, Some(1));
    let mut w =
        Waiver { gate: Gate::G3, who: ann.clone(), reason: "r".into(), at_us: NOW, until_us: NOW + H, second: None, single_person: false };
    let word = |f: &Facts, w: &Waiver| judge(f, &rules(), std::slice::from_ref(w))[2].outcome.clone();
    assert_eq!(word(&f, &w), Outcome::Pending, "proposed only");
    w.second = Some(Actor::person("bob", 2, Some(2)));
    assert_eq!(word(&f, &w), Outcome::Waived);
    f.now_us = NOW + H;
    assert_ne!(word(&f, &w), Outcome::Waived, "over");
    assert_eq!(word(&facts(), &w), Outcome::Ok, "what passes needs none");
}

fn spoiled<T>(how: u8, value: T) -> Source<T> {
    match how {
        0 => Source::Unknown("it did not answer".into()),
        1 => Source::Missing("[x]".into()),
        2 => Source::Known { value, at_us: NOW - 400 * H },
        _ => Source::Known { value, at_us: NOW + 400 * H },
    }
}

const ACTS: [Act; 13] = [
    Act::Pin,
    Act::Pass,
    Act::Move,
    Act::Agree,
    Act::Start,
    Act::Switched,
    Act::Imaged,
    Act::Close,
    Act::Halt,
    Act::Resume,
    Act::RollBack,
    Act::Veto,
    Act::Expire,
];

proptest! {
    #[test]
    fn no_gate_is_ok_on_what_is_stale_or_unknown(gate in 0usize..10, how in 0u8..4) {
        let gate = GATES[gate];
        let mut f = facts();
        match gate {
            Gate::G1 => { f.replicas.insert("birch".into(), spoiled(how, gate::Replica { fp: FP.into(), md: "m".into() })); }
            Gate::G2 => match how { 2 => f.fp = spoiled(2, FP.into()), 3 => f.first_seen = spoiled(3, seen(NOW + H)), h => f.first_seen = spoiled(h, seen(NOW - 100 * H)) },
            Gate::G3 | Gate::G4 | Gate::G5 => {
                let all = match &f.verdicts { Source::Known { value, .. } => value.clone(), _ => vec![] };
                f.verdicts = spoiled(how, all);
            }
            Gate::G6 => f.soak = spoiled(how, ()),
            Gate::G7 => f.signatures = spoiled(how, Signatures { checked: 1, ..Signatures::default() }),
            Gate::G8 => f.agents = spoiled(how, ()),
            Gate::G9 => f.calendar = spoiled(how, Calendar::Open { calendar: "c".into() }),
            Gate::G10 => { f.back.insert("birch".into(), spoiled(how, Back { snapshot: Some("s".into()), room: true })); }
        }
        let got = outcome(&f, &Rules::default(), gate);
        prop_assert!(got != Outcome::Ok && !got.passes(), "{gate}: {got:?}");
        // The candidate itself.
        let mut f = facts();
        f.fp = spoiled(how, FP.into());
        for gate in [Gate::G1, Gate::G2, Gate::G3, Gate::G4, Gate::G5] {
            prop_assert!(outcome(&f, &Rules::default(), gate) != Outcome::Ok);
        }
    }

    #[test]
    fn old_verdicts_are_never_ok(ages in proptest::collection::vec(27i64..400, 0..12), kind in 0usize..3) {
        let name = ["canary:image", "canary:rpm", "formula:base"][kind];
        let mut f = facts();
        f.verdicts = known(ages.iter().enumerate().map(|(i, a)| verdict(name, i as u32, *a, Colour::Green)).collect());
        prop_assert!(outcome(&f, &rules(), [Gate::G3, Gate::G4, Gate::G5][kind]) != Outcome::Ok);
    }

    #[test]
    fn only_three_greens_in_a_row_make_a_canary_ok(colours in proptest::collection::vec(0u8..4, 0..10)) {
        let of = |c: u8| [Colour::Green, Colour::Red, Colour::Invalid, Colour::NotRun][c as usize];
        let n = colours.len() as i64;
        let mut f = facts();
        f.verdicts = known(colours.iter().enumerate().map(|(i, c)| verdict("canary:image", i as u32, (n - i as i64) * 2, of(*c))).collect());
        let tail = colours.iter().rev().filter(|c| **c < 2).take_while(|c| **c == 0).count();
        let fresh = colours.iter().any(|c| *c < 2);
        prop_assert_eq!(outcome(&f, &rules(), Gate::G3) == Outcome::Ok, tail >= 3 && fresh);
    }

    #[test]
    fn the_table_of_states_is_closed(path in proptest::collection::vec(proptest::sample::select(&ACTS[..]), 0..40)) {
        let (mut state, mut halted): (State, Option<State>) = (State::Draft, None);
        let (mut started, mut was_ready) = (false, false);
        for act in path {
            if let Ok(to) = next(state, act, halted) {
                // Nothing is switched that was not ready and approved before, whatever came between.
                if to == State::Switching && act == Act::Start { prop_assert!(was_ready && state == State::Approved); started = true; }
                if to.is_moving() || to == State::Halted { prop_assert!(started); }
                if matches!(state, State::RolledBack | State::Vetoed | State::Expired) { prop_assert!(false, "{state} is the end, {act:?}"); }
                was_ready = match to { State::Ready => true, State::Approved => was_ready, _ => false };
                if act == Act::Halt { halted = Some(state); } else if to != State::Halted { halted = None; }
                state = to;
            }
        }
    }

    #[test]
    fn the_sha_moves_with_everything_that_a_plan_depends_on(which in 0usize..17, text in "[a-z]{1,8}") {
        let before = plan();
        let mut p = before.clone();
        let t = format!("new-{text}");
        match which {
            0 => p.promotion = t,
            1 => p.os = t,
            2 => p.set = t,
            3 => p.author = t,
            4 => p.change = t,
            5 => p.base_fp = Some(t),
            6 => p.overlay = t,
            7 => p.overlay_wanted = t,
            8 => p.lines[0].reason = t,
            9 => p.moves[0].from = Led::Other(t),
            10 => p.moves[1].to = Some(t),
            11 => p.moves[1].to_fp = None,
            12 => p.gates[0].outcome = Outcome::Fail,
            13 => p.gates[2].evidence.push(t),
            14 => p.blast.repos.push(t),
            15 => p.not_undone.push(t),
            _ => p.moves[0].root = t,
        }
        prop_assert!(p.sha() != before.sha());
        prop_assert!(!plan::moved(&before, &p, 10).is_empty());
        prop_assert_eq!(before.sha(), plan().sha());
    }
}

/// Every place of a document that holds a value, changed one at a time.
fn changed(
    value: &serde_json::Value,
    path: &str,
    out: &mut Vec<(String, serde_json::Value)>,
    whole: &dyn Fn(serde_json::Value) -> serde_json::Value,
) {
    use serde_json::Value as V;
    let mut put = |v: V| out.push((path.to_owned(), whole(v)));
    match value {
        V::String(s) => put(V::String(format!("{s}x"))),
        V::Number(n) => put(V::from(n.as_i64().unwrap_or(0) + 1)),
        V::Bool(b) => put(V::Bool(!b)),
        V::Null => put(V::String("x".into())),
        V::Array(items) => {
            if let Some(last) = items.last() {
                put(V::Array([items.clone(), vec![last.clone()]].concat()));
                put(V::Array(items[..items.len() - 1].to_vec()));
            }
            for (i, item) in items.iter().enumerate() {
                changed(item, &format!("{path}[{i}]"), out, &|v| {
                    let mut items = items.clone();
                    items[i] = v;
                    whole(V::Array(items))
                });
            }
        }
        V::Object(map) => {
            for (key, item) in map {
                changed(item, &format!("{path}.{key}"), out, &|v| {
                    let mut map = map.clone();
                    map.insert(key.clone(), v);
                    whole(V::Object(map))
                });
            }
        }
    }
}

#[test]
fn every_value_of_a_plan_is_in_its_sha() {
    let mut p = plan();
    let words = |w: &str| vec![w.to_owned()];
    p.additions = vec![plan::Addition {
        id: 3,
        package: "ssl".into(),
        nevra: "ssl-0:3-1.noarch".into(),
        promotion: "PR-2026Q2-el9-oob".into(),
        owner: "sec".into(),
        until_us: 9,
        fate: plan::Fate::Absorbed,
        by: "ssl-0:4-1.noarch".into(),
    }];
    p.lines[0].source = "base".into();
    p.moves[0].over = Some("20260101-aa".into());
    (p.skips, p.undo, p.not_undone) = (words("G2"), words("back"), words("firmware"));
    p.blast = Blast {
        repos: words("r"),
        trees: words("t"),
        pipelines: words("p"),
        kickstarts: words("k"),
        unknown: words("u"),
        ..Blast::default()
    };
    let whole = serde_json::to_value(&p).unwrap();
    let mut all = Vec::new();
    changed(&whole, "", &mut all, &|v| v);
    assert!(all.len() > 90, "{}", all.len());
    let mut read = 0;
    for (path, value) in all {
        // What cannot be read back is no plan at all.
        let Ok(other) = serde_json::from_value::<Plan>(value) else { continue };
        read += 1;
        assert_ne!(other.sha(), p.sha(), "{path} is not in the sha");
        assert!(!plan::moved(&p, &other, 10).is_empty(), "{path}: nothing is said to have moved");
    }
    assert!(read > 70, "{read}");
}

pub(super) fn plan() -> Plan {
    let gates = judge(&facts(), &rules(), &[]);
    let mv = |dc: &str| Move {
        dc: dc.into(),
        root: format!("/srv/{dc}"),
        pointer: "stable".into(),
        from: Led::Snapshot("20260101-aa".into()),
        from_fp: Some("00".into()),
        to: Some("20260401-aa11".into()),
        to_fp: Some(FP.into()),
        over: None,
    };
    let hold = Hold { id: 1, ..hold() };
    Plan {
        format: FORMAT,
        promotion: "PR-2026Q2-el9".into(),
        os: "el9".into(),
        set: "el9-latest".into(),
        author: "ann".into(),
        change: String::new(),
        base_fp: Some(FP.into()),
        overlay: "o".into(),
        overlay_wanted: "o".into(),
        lines: vec![hold.line()],
        additions: vec![],
        skips: vec![],
        moves: vec![mv("alder"), mv("birch")],
        gates: plan::gate_lines(&gates),
        approvals: Plan::sides(),
        blast: Blast::default(),
        undo: vec![],
        not_undone: vec![],
    }
}

#[test]
fn a_plan_says_what_stands_in_its_way_and_what_moved() {
    let good = plan();
    assert!(good.ready());
    let mut p = good.clone();
    p.moves[1].to_fp = Some("bb".into());
    assert!(!p.ready() && p.obstacles()[0].contains("different content"));
    assert_eq!(plan::moved(&good, &p, 5), ["moves.birch.to_fp: aa11 -> bb"]);
    let mut p = good.clone();
    p.gates[2].outcome = Outcome::Fail;
    assert_eq!(plan::moved(&good, &p, 5), ["gates.G3.result: OK -> FAIL"]);
    for from in [Led::Other("../elsewhere".into()), Led::Unknown] {
        let mut p = good.clone();
        p.moves[0].from = from;
        assert!(!p.ready());
    }
    assert!(!Plan { gates: vec![], ..good.clone() }.ready() && !Plan { moves: vec![], ..good.clone() }.ready());
    assert!(!Plan { overlay_wanted: "x".into(), ..good }.ready());
}

#[test]
fn approvals_count_for_one_sha_two_sides_and_two_people() {
    let (ann, bob) = (Actor::person("ann", 1, Some(1)), Actor::person("bob", 2, Some(2)));
    let mut p = Promotion::new("PR-2026Q2-el9".into(), "el9", "s", ann.clone(), "r", "", NOW);
    let give = |side: &str, who: &Actor, sha: &str, single| Approval {
        side: side.into(),
        who: who.clone(),
        at_us: NOW,
        comment: String::new(),
        sha: sha.into(),
        single_person: single,
    };
    p.approvals = vec![give("ops", &ann, "s1", false)];
    assert_eq!(p.missing("s1", NOW), ["security"]);
    p.approvals.push(give("security", &bob, "s2", false));
    assert!(!p.approved("s1", NOW) && !p.approved("s2", NOW), "each binds to one sha");
    p.approvals.push(give("security", &bob, "s1", false));
    assert!(p.approved("s1", NOW) && !p.approved("", NOW));
    assert!(p.approved("s1", NOW + APPROVED_US - 1) && !p.approved("s1", NOW + APPROVED_US), "nothing is open-ended");
    p.approvals[0].at_us -= H;
    assert_eq!(p.missing("s1", NOW + APPROVED_US - 1), ["ops"]);
    p.approvals = vec![give("ops", &ann, "s1", true)];
    assert!(p.approved("s1", NOW) && !p.approved("s2", NOW), "the site lets one pass, for what they saw");
}

#[test]
fn halting_remembers_where_and_the_story_is_kept() {
    let mut p = Promotion::new("PR-2026Q2-el9".into(), "el9", "s", Actor::engine("t"), "r", "", 1);
    for act in [Act::Pin, Act::Pass, Act::Agree, Act::Start, Act::Switched, Act::Halt] {
        p.go(act, "ann", "x", 2).unwrap();
    }
    assert_eq!((p.state, p.halted_in), (State::Halted, Some(State::Imaging)));
    p.go(Act::Resume, "ann", "x", 3).unwrap();
    assert_eq!((p.state, p.halted_in, p.closed_us), (State::Imaging, None, None));
    assert!(p.go(Act::Veto, "ann", "x", 3).unwrap_err().to_string().contains("IMAGING"));
    p.go(Act::Imaged, "e", "x", 4).unwrap();
    p.go(Act::Close, "e", "x", 5).unwrap();
    assert_eq!((p.closed_us, p.notes.len()), (Some(5), 9));
    p.go(Act::RollBack, "ann", "x", 6).unwrap();
    assert_eq!(p.state, State::RolledBack);
    for &(word, state) in State::WORDS {
        assert_eq!((word.parse(), serde_json::to_value(state).unwrap()), (Ok(state), word.into()));
    }
}

#[test]
fn names_count_within_a_quarter() {
    let day = jiff::civil::date(2026, 4, 14);
    assert_eq!(name(day, "el9", |_| false), "PR-2026Q2-el9");
    assert_eq!(name(day, "el9", |n| n == "PR-2026Q2-el9" || n == "PR-2026Q2-el9.2"), "PR-2026Q2-el9.3");
    assert!(is_name("PR-2026Q2-el9.2") && !is_name("PR-") && !is_name("nightly#5") && !is_name("PR-a/b"));
}

#[test]
fn ages_are_said_as_people_say_them() {
    let mut f = facts();
    let told = |f: &Facts, gate: Gate| judge(f, &rules(), &[]).into_iter().find(|j| j.gate == gate).unwrap().detail;
    f.verdicts = known(
        (0..3).map(|n| Verdict { at_us: NOW - 23_000 - i64::from(n) * 3 * H, ..verdict("canary:image", n, 0, Colour::Green) }).collect(),
    );
    assert!(told(&f, Gate::G3).ends_with("the last less than a second ago"), "{}", told(&f, Gate::G3));
    f.first_seen = known(seen(f.now_us - 71 * H - 1_000_000));
    assert!(told(&f, Gate::G2).starts_with("2d23h old, and 3d are wanted"), "{}", told(&f, Gate::G2));
}

#[test]
fn a_gate_that_does_not_pass_says_what_leads_on() {
    let told = |f: &Facts, r: &Rules, gate: Gate| judge(f, r, &[]).into_iter().find(|j| j.gate == gate).unwrap().detail;
    assert!(judge(&facts(), &rules(), &[]).iter().all(|j| !j.detail.contains("next:")), "what passes needs nothing");
    let mut f = facts();
    f.judges = vec![Judge { pipeline: "rpmcanary".into(), labels: vec!["canary:rpm".into()], ..Judge::default() }];
    f.verdicts = known([greens("canary:inspector"), vec![verdict("canary:rpm", 1, 1, Colour::Green)]].concat());
    let text = told(&f, &rules(), Gate::G4);
    assert!(
        text.ends_with("runs of rpmcanary (canary:rpm): 1 of 3 good on this content; next: quarterdeck run rpmcanary, 2 times, 2h apart"),
        "{text}"
    );
    f.verdicts = known(vec![verdict("canary:rpm", 1, 1, Colour::Green)]);
    let both = "runs of rpmcanary (canary:rpm): 1 of 3 good on this content; runs of canary:inspector: 0 of 1 good on this content; next: ";
    assert!(told(&f, &rules(), Gate::G4).starts_with(both), "{}", told(&f, &rules(), Gate::G4));
    f.judges[0].other = Some("el9-latest, which holds 2b1c03d4e5f6 now".into());
    f.judges[0].writers = vec!["nightly".into()];
    let text = told(&f, &rules(), Gate::G4);
    for words in [
        "rpmcanary reads el9-latest, which holds 2b1c03d4e5f6 now (written by nightly), not this candidate",
        "--with retake=true",
        "run rpmcanary",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    f.verdicts = known([greens("canary:inspector"), vec![verdict("canary:rpm", 1, 1, Colour::Red)]].concat());
    assert!(told(&f, &rules(), Gate::G4).contains("next: quarterdeck why '"));
    f.replicas.insert("cedar".into(), replica("bb"));
    assert!(told(&f, &rules(), Gate::G1).contains("other content in cedar; next: bring their trees to the same content"));
    f.first_seen = known(seen(NOW - 71 * H));
    assert!(told(&f, &rules(), Gate::G2).ends_with("next: it passes by itself in 1h"), "{}", told(&f, &rules(), Gate::G2));
    assert!(told(&f, &Rules::default(), Gate::G8).ends_with("[promotion.el9.without] G8 = \"reason\""));
    // What the site says goes before what we can guess.
    let own = Rules { help: BTreeMap::from([(Gate::G4, "ask the canary team".to_owned())]), ..rules() };
    let words = "; next: rpmcanary reads el9-latest, which holds 2b1c03d4e5f6 now, not this candidate; ask the canary team";
    assert!(told(&f, &own, Gate::G4).ends_with(words), "{}", told(&f, &own, Gate::G4));
    f.judges[0].other = None;
    assert!(told(&f, &own, Gate::G4).ends_with("; next: ask the canary team"));
    f.fp = Source::Unknown("no candidate was taken yet: quarterdeck do promote-soak PR-2026Q2-el9".into());
    assert!(
        GATES
            .iter()
            .all(|g| matches!(g, Gate::G6 | Gate::G8 | Gate::G7 | Gate::G9 | Gate::G10) || !told(&f, &rules(), *g).contains("next:"))
    );
}

#[test]
fn a_fix_that_is_served_is_never_lost_in_silence() {
    let lost = |known: Known, cves: &[&str]| Lost {
        source: "sudo".into(),
        from: "0:1.9.5p2-11".into(),
        to: "0:1.9.5p2-10".into(),
        known,
        cves: cves.iter().map(|c| (*c).to_owned()).collect(),
    };
    let judged = |f: &Facts| judge(f, &rules(), &[]).remove(6);
    let mut f = facts();
    f.lost = known(vec![lost(Known::Partial, &["CVE-2026-90001"])]);
    let j = judged(&f);
    assert_eq!(j.outcome, Outcome::Fail);
    assert!(
        j.detail.starts_with("sudo goes back from 0:1.9.5p2-11 to 0:1.9.5p2-10, and CVE-2026-90001 would be open again; next: hold it"),
        "{}",
        j.detail
    );
    // Also where nobody looks at signatures, which the site accepts.
    f.signatures = Source::Missing("keys to [promotion.el9]".into());
    let without = Rules { without: BTreeMap::from([(Gate::G7, "unsigned".to_owned())]), ..rules() };
    assert_eq!(judge(&f, &without, &[]).remove(6).outcome, Outcome::Fail);
    // What goes back without a word of what it fixed is unknown; with the whole changelog and no CVE id in it, it is no loss.
    let mut f = facts();
    f.lost = known(vec![lost(Known::Partial, &[])]);
    assert_eq!(judged(&f).outcome, Outcome::Stale);
    f.lost = known(vec![lost(Known::Complete, &[])]);
    let j = judged(&f);
    assert!(j.outcome == Outcome::Ok && j.evidence.iter().any(|e| e.ends_with("no CVE id, changelog complete")), "{j:?}");
    f.lost = Source::Unknown("snapshot x cannot be read".into());
    assert_eq!(judged(&f).outcome, Outcome::Stale);
}
