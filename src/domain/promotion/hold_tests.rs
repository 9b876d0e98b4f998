//! Holds and additions: what one may be, how long it lasts, and what becomes of it once the candidate has its package.

use super::hold::{self, Hold, Kind};
use super::plan::Plan;
use super::tests::plan;
use super::*;

const H: i64 = 3_600 * 1_000_000;

pub(super) fn hold() -> Hold {
    Hold {
        id: 0,
        kind: Kind::Hold,
        os: "el9".into(),
        package: "crypto-policies".into(),
        nevra: String::new(),
        source: String::new(),
        promotion: String::new(),
        served_us: None,
        owner: "sec".into(),
        reason: "INC-1".into(),
        who: Actor::person("ann", 1, Some(1)),
        made_us: 0,
        until_us: 14 * 24 * H,
        recheck_us: 7 * 24 * H,
        ended_us: None,
        ended: String::new(),
    }
}

#[test]
fn a_hold_has_owner_reason_end_and_recheck_and_nothing_is_open_ended() {
    use hold::{Unfit, check};
    assert_eq!(check(&hold()), Ok(()));
    assert_eq!(check(&Hold { until_us: 15 * 24 * H, ..hold() }), Err(Unfit::TooLong { days: 14 }));
    assert_eq!(check(&Hold { until_us: 0, recheck_us: 0, ..hold() }), Err(Unfit::Over));
    assert_eq!(check(&Hold { owner: " ".into(), ..hold() }), Err(Unfit::Lacks("an owner")));
    assert_eq!(check(&Hold { recheck_us: 20 * 24 * H, ..hold() }), Err(Unfit::Recheck));
    for bad in ["", "a b", "../x", "-rf", "*", "a/b", "ä"] {
        assert!(matches!(check(&Hold { package: bad.into(), ..hold() }), Err(Unfit::Package(_))), "{bad}");
    }
    let oob = Hold {
        kind: Kind::Oob,
        nevra: "crypto-policies-20260401-1.el9.noarch".into(),
        source: "s".into(),
        until_us: 48 * H,
        recheck_us: H,
        ..hold()
    };
    assert_eq!(check(&oob), Ok(()));
    assert_eq!(check(&Hold { until_us: 49 * H, ..oob.clone() }), Err(Unfit::TooLong { days: 2 }));
    assert_eq!(check(&Hold { nevra: "other-1-1.el9.noarch".into(), ..oob.clone() }), Err(Unfit::NoVersion));
    assert_eq!(
        (hold().state(H), hold().state(8 * 24 * H), hold().state(14 * 24 * H)),
        (super::hold::State::Active, super::hold::State::Recheck, super::hold::State::Expired)
    );
    // Only what changes the content changes the overlay.
    let quarter = Promotion::new("PR-1".into(), "el9", "s", Actor::person("ann", 1, Some(1)), "r", "", 1);
    let lane = Promotion { lane: Lane::Oob, id: "PR-1-oob".into(), ..quarter.clone() };
    let over = |h: &Hold, p: &Promotion| hold::overlay(&hold::lines(std::slice::from_ref(h), p, H));
    let of = |h: &Hold| over(h, &quarter);
    let oob = Hold { promotion: lane.id.clone(), ..oob };
    assert_eq!((of(&oob), over(&hold(), &lane)), (String::new(), String::new()), "each lane lays over its own");
    assert_ne!(over(&oob, &lane), over(&Hold { source: "t".into(), ..oob.clone() }, &lane));
    assert_eq!(of(&hold()), of(&Hold { owner: "x".into(), ..hold() }));
    assert_ne!(of(&hold()), over(&oob, &lane));
    assert_eq!(of(&Hold { ended_us: Some(1), ..hold() }), "");
}

#[test]
fn a_served_addition_is_absorbed_by_what_is_as_new_and_dropped_otherwise() {
    use crate::domain::nevra::Nevra;
    use plan::Fate;
    let p = Promotion::new("PR-1".into(), "el9", "s", Actor::person("ann", 1, Some(1)), "r", "", 1);
    let oob = Hold { kind: Kind::Oob, nevra: "a-2-1.noarch".into(), served_us: Some(5), ended_us: None, ..hold() };
    let fate = |h: &Hold, p: &Promotion, has: &str| {
        let has = |_: &Nevra| Nevra::parse(has).ok();
        hold::additions(std::slice::from_ref(h), p, Some(&has)).first().map(|a| a.fate)
    };
    assert_eq!(fate(&oob, &p, "a-2-1.noarch"), Some(Fate::Absorbed));
    assert_eq!(fate(&oob, &p, "a-10-1.noarch"), Some(Fate::Absorbed));
    assert_eq!(fate(&oob, &p, "a-1.9-1.noarch"), Some(Fate::Dropped));
    assert_eq!(fate(&oob, &p, ""), Some(Fate::Dropped));
    // Long over, and still served: only a promotion takes it out.
    assert_eq!(fate(&Hold { until_us: 1, ..oob.clone() }, &p, ""), Some(Fate::Dropped));
    assert_eq!(fate(&Hold { served_us: None, ..oob.clone() }, &p, ""), None);
    assert_eq!(fate(&Hold { ended_us: Some(9), ..oob.clone() }, &p, ""), None);
    // What came after it had begun is not its business.
    assert_eq!(fate(&oob, &Promotion { started_us: Some(4), ..p.clone() }, ""), None);
    assert_eq!(hold::additions(std::slice::from_ref(&oob), &p, None)[0].fate, Fate::Unknown);
    let additions = hold::additions(std::slice::from_ref(&oob), &p, None);
    assert!(!Plan { additions, ..plan() }.ready(), "never ready on what nobody knows");
    let taken = |from: &str| {
        let mut p = plan();
        p.moves[0].over = Some(from.into());
        p.ready()
    };
    assert!(taken("20260101-aa") && !taken("20251201-bb"), "an addition lies over what is served, or is taken again");
}
