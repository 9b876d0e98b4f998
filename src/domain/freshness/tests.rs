//! Every state with its reason: torn, behind, ahead, shrunk, frozen, silent; and that nothing unknown is ever good.

use super::*;
use crate::domain::mirror::State;
use proptest::prelude::*;

const HOUR: i64 = 3_600 * 1_000_000;

fn held(n: u64) -> Observed {
    Observed {
        at: "http://a/x/".into(),
        md: Some(format!("m{n}")),
        fp: Some(format!("f{n}")),
        packages: 100,
        newest: Some(1_000 + n),
        ..Observed::default()
    }
}

fn history(upto: u64) -> Vec<Compose> {
    composes((1..=upto).map(|n| (n as i64, held(n))))
}

fn rules() -> Rules<'static> {
    Rules { now_us: HOUR, frozen: None, compared: true, writer: "quarterdeck", repo: "base9", keys: false }
}

fn against(o: &Observed, upstream: &Observed, history: &[Compose]) -> Judged {
    judge(o, Up { seen: Some(upstream), whole: Some(upstream), history }, None, &rules())
}

#[test]
fn behind_is_counted_in_composes_and_never_in_days() {
    let (up, past) = (held(4), history(4));
    for (n, composes) in [(3, 1), (2, 2), (1, 3)] {
        let old = Observed { lacking: 5, ..held(n) };
        let j = against(&old, &up, &past);
        assert_eq!((j.state(), j.composes, j.at_least, j.light), (State::Behind, composes, false, Light::Amber), "{n}: {j:?}");
        assert!(j.why.contains("5 packages") && !j.next.is_empty());
    }
    // A year later nothing has changed: in sync is in sync.
    let late = Rules { now_us: 365 * 24 * HOUR, ..rules() };
    let j = judge(&held(4), Up { seen: Some(&up), whole: Some(&up), history: &past }, None, &late);
    assert_eq!((j.state(), word(&j, Some(0), late.now_us).as_str()), (State::InSync, "no-change"));
    assert_eq!(word(&j, Some(late.now_us - HOUR), late.now_us), "fresh");
    // One that nobody saw upstream: at least those that are younger than it.
    let unseen = Observed { fp: Some("else".into()), md: Some("else".into()), newest: Some(1_002), lacking: 1, ..held(9) };
    let j = against(&unseen, &up, &past);
    assert_eq!((j.composes, j.at_least, word(&j, None, 0).as_str()), (2, true, "behind-2+"));
}

#[test]
fn metadata_that_was_made_again_is_no_compose() {
    let again = Observed { md: Some("other".into()), newest: Some(5_000), ..held(1) };
    let past = composes([(1, held(1)), (2, again.clone()), (3, held(2)), (4, Observed { trouble: Trouble::Torn("x".into()), ..held(3) })]);
    assert_eq!(past.iter().map(|c| (c.fp.as_str(), c.md.as_str())).collect::<Vec<_>>(), [("f2", "m2"), ("f1", "other")]);
    assert_eq!(against(&again, &held(1), &past).state(), State::InSync);
}

#[test]
fn a_disagreement_is_amber_for_half_an_hour_and_then_red() {
    let torn = Observed { trouble: Trouble::Torn("primary.xml.gz is missing".into()), ..held(2) };
    let partial = Observed { missing: 2, short: 1, sampled: 20, first: "a.rpm is missing".into(), ..held(2) };
    for (o, state, words) in [(torn, State::Incoherent, "primary.xml.gz"), (partial, State::Partial, "though its metadata is upstream's")] {
        let first = o.doubted(None, HOUR);
        let later = first.clone().doubted(Some(&first), 9 * HOUR);
        assert_eq!(later.suspect_us, Some(HOUR), "the doubt is as old as its first sight");
        for (now, light) in [(HOUR, Light::Amber), (HOUR + DOUBT_US - 1, Light::Amber), (HOUR + DOUBT_US, Light::Red)] {
            let j = judge(
                &first,
                Up { seen: Some(&held(2)), whole: Some(&held(2)), history: &history(2) },
                None,
                &Rules { now_us: now, ..rules() },
            );
            assert_eq!((j.state(), j.light), (state, light));
            assert!(j.why.contains(words), "{}", j.why);
        }
        let silent =
            Observed { trouble: Trouble::Silent("x".into()), missing: 0, short: 0, ..first.clone() }.doubted(Some(&first), 2 * HOUR);
        assert_eq!(silent.suspect_us, Some(HOUR), "whoever does not answer has not become whole");
        assert_eq!(held(2).doubted(Some(&first), 2 * HOUR).suspect_us, None);
    }
    let up = Observed { missing: 3, sampled: 9, ..held(3) }.doubted(None, HOUR);
    let j = judge_upstream(Up { seen: Some(&up), whole: Some(&held(2)), history: &[] }, &rules());
    assert_eq!((j.state(), j.light), (State::Incoherent, Light::Amber));
    // Its replicas are compared with what it had whole: nobody is behind a push that is on its way.
    let seen = Up { seen: Some(&up), whole: Some(&held(2)), history: &history(2) };
    assert_eq!(judge(&held(2), seen, None, &rules()).state(), State::InSync);
}

#[test]
fn an_end_of_life_that_deletes_everything_is_shrunk_and_stays_it() {
    let before = held(1);
    let gone = Observed { trouble: Trouble::Gone("404".into()), ..before.clone() }.mourned(Some(&before));
    assert_eq!(gone.was, 100);
    let up = Up { seen: Some(&gone), whole: Some(&before), history: &history(1) };
    let j = judge_upstream(up, &rules());
    assert_eq!((j.state(), j.light), (State::Shrunk, Light::Red));
    assert!(j.why.contains("all 100 packages") && j.next.contains("frozen ="), "{j:?}");
    assert_eq!(judge(&before, up, None, &rules()).state(), State::InSync, "the replica still has everything");
    let empty = Observed { fp: Some("none".into()), md: Some("m9".into()), packages: 0, ..held(1) }.mourned(Some(&gone));
    let again = empty.clone().mourned(Some(&empty));
    assert_eq!((empty.was, again.was), (100, 100), "the second look at it is no excuse");
    let same = judge(&again, Up { seen: Some(&empty), whole: Some(&empty), history: &[] }, None, &rules());
    assert_eq!(same.state(), State::Shrunk, "a replica that followed agrees perfectly, and is not fresh: {same:?}");
    let frozen = Rules { frozen: Some("end of life since 2024-05-31"), ..rules() };
    assert_eq!(judge(&before, up, None, &frozen).state(), State::Frozen);
    assert_eq!(judge(&again, up, None, &frozen).state(), State::Shrunk, "frozen is no reason to lose packages");
    assert_eq!(held(1).mourned(Some(&gone)).was, 0, "they are back");
    assert!(shrank(10, 0) && shrank(100, 79) && !shrank(100, 80) && !shrank(0, 0) && !shrank(10, 20));
}

#[test]
fn what_is_not_known_is_not_good() {
    let up = held(2);
    let silent = Observed { trouble: Trouble::Silent("no connection".into()), ..held(2) };
    let j = against(&silent, &up, &history(2));
    assert_eq!((j.state(), j.light), (State::Unreachable, Light::Red));
    let j = judge(&held(2), Up { seen: Some(&silent), whole: Some(&up), history: &history(2) }, None, &rules());
    assert_eq!((j.state(), j.light), (State::Unreachable, Light::Amber));
    assert!(j.why.contains("its upstream does not answer (no connection)"));
    let torn = Observed { trouble: Trouble::Torn("a web page".into()), ..Observed::default() };
    let j = judge(&held(2), Up { seen: Some(&torn), whole: None, history: &[] }, None, &rules());
    assert_eq!((j.state(), j.light), (State::Unknown, Light::Unknown));
    let j = judge(&held(2), Up::default(), None, &Rules { compared: false, ..rules() });
    assert_eq!((j.state(), j.light), (State::Unknown, Light::Unknown));
    let absent = Observed { trouble: Trouble::Gone("404".into()), ..Observed::default() };
    assert_eq!(against(&absent, &up, &[]).light, Light::Red);
    let ahead = Observed { surplus: 4, newest: Some(9_000), ..held(8) };
    assert_eq!(against(&ahead, &up, &history(2)).state(), State::Ahead);
    assert_eq!(against(&Observed { trouble: Trouble::Moved, ..held(2) }, &up, &[]).state(), State::Syncing);
    assert_eq!(against(&Observed { held: true, ..held(2) }, &up, &[]).state(), State::Syncing);
    assert_eq!(against(&Observed { snapshot: Some("s1".into()), ..held(1) }, &up, &[]).state(), State::Pinned);
}

#[test]
fn a_reason_says_something_also_where_upstream_was_never_whole() {
    let mut pushed = held(2);
    pushed.packages = 0;
    let j = judge(&held(1), Up { seen: Some(&pushed), whole: None, history: &[] }, None, &rules());
    assert_eq!(j.light, Light::Unknown, "{j:?}");
    assert!(!j.why.trim_end().ends_with(':') && !j.why.is_empty(), "{j:?}");
}

#[test]
fn the_noarch_loss_and_a_damaged_package_are_seen_though_metadata_agrees() {
    let up = held(2);
    let lost = Observed { md: Some("own".into()), origin: Some("m2".into()), fp: Some("less".into()), lacking: 7, ..held(2) };
    let j = judge(&lost, Up { seen: Some(&up), whole: Some(&up), history: &history(2) }, None, &Rules { writer: "cobbler", ..rules() });
    assert_eq!((j.state(), j.light), (State::Partial, Light::Red));
    assert!(j.why.contains("7 packages") && j.next.contains("noarch"), "{j:?}");
    let verified = Verified { md: Some("m2".into()), damaged: 1, ..Verified::default() };
    let whole = Up { seen: Some(&up), whole: Some(&up), history: &[] };
    assert_eq!(judge(&held(2), whole, Some(&verified), &rules()).state(), State::Damaged);
    // It was verified before its metadata moved: that says nothing any more.
    let old = Verified { md: Some("m1".into()), ..verified };
    assert_eq!(judge(&held(2), whole, Some(&old), &rules()).state(), State::InSync);
}

#[test]
fn datacentres_agree_only_where_all_were_read() {
    let (a, b) = (held(2), held(1));
    let silent = Observed { trouble: Trouble::Silent("x".into()), ..held(2) };
    let two = agreement(&[("alder", &a), ("birch", &a), ("cedar", &b)], Some("f2"));
    assert_eq!((two.agree, two.of, two.others.as_slice(), two.is_whole()), (2, 3, &["cedar".to_owned()][..], false));
    assert_eq!(agreement(&[("alder", &a), ("birch", &b)], Some("f1")).fp.as_deref(), Some("f1"));
    assert!(agreement(&[("alder", &a), ("birch", &a)], None).is_whole());
    assert!(!agreement(&[("alder", &a), ("birch", &silent)], None).is_whole(), "what it had once is no agreement");
    assert!(!agreement(&[], None).is_whole());
    let unknown = Observed { fp: None, ..held(2) };
    assert_eq!(agreement(&[("alder", &unknown), ("birch", &unknown)], None).agree, 0, "unknown equals nothing");
}

#[test]
fn words_that_differ_are_no_news() {
    let silent = |why: &str| Observed { trouble: Trouble::Silent(why.into()), ..held(1) };
    assert!(!silent("port 1").is_news(&silent("port 2")));
    assert!(silent("x").is_news(&held(1)) && held(2).is_news(&held(1)));
    assert!(!Observed { sampled: 9, ..held(1) }.is_news(&held(1)));
    let text = serde_json::to_string(&silent("x")).unwrap();
    assert_eq!(serde_json::from_str::<Observed>(&text).unwrap(), silent("x"));
}

proptest! {
    #[test]
    fn good_needs_everything_known_and_equal(
        fp in 0u64..4, up_fp in 0u64..4, missing in 0u64..2, was in 0u64..2, trouble in 0u8..5, up_trouble in 0u8..5, known in any::<bool>(),
    ) {
        let with = |n: u64, t: u8| Observed {
            fp: (n > 0).then(|| format!("f{n}")), md: (n > 0).then(|| format!("m{n}")),
            trouble: match t { 0 => Trouble::None, 1 => Trouble::Silent("s".into()), 2 => Trouble::Gone("g".into()), 3 => Trouble::Torn("t".into()), _ => Trouble::Moved },
            ..held(n)
        };
        let (seen, whole) = (with(up_fp, up_trouble), with(up_fp, 0));
        let o = Observed { missing, was, ..with(fp, trouble) };
        let j = judge(&o, Up { seen: Some(&seen), whole: known.then_some(&whole), history: &[] }, None, &rules());
        if j.light == Light::Good {
            prop_assert!(fp > 0 && fp == up_fp && missing == 0 && was == 0 && trouble == 0 && up_trouble != 1 && known);
        }
        prop_assert!(j.light == Light::Good || !j.why.is_empty());
    }
}
