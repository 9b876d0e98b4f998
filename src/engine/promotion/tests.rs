//! Promotions against a clock that is turned by hand: what passes with time alone, and what moves a plan between its start and a switch.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::driver::{advance, halts, judge};
use super::permit::Checks;
use super::save::look_again;
use crate::base::clock::{Clock, ManualClock};
use crate::domain::actor::Actor;
use crate::domain::audit::Record;
use crate::domain::promotion::gate::Gate;
use crate::domain::promotion::hold::{self, Hold, Kind};
use crate::domain::promotion::state::{Act, State};
use crate::domain::promotion::{APPROVED_US, Approval, Before, Lane, Promotion, SIDES, Taken, Waiver, Work};
use crate::domain::run::RunRef;
use crate::engine::state::Engine;
use crate::engine::testing;
use crate::runner::Permit;
use crate::store::{HoldSave, Note, Save};

const HOUR: i64 = 3_600_000_000;
const DAY: i64 = 24 * HOUR;
const OLD: &str = "20260101-0000000000aa";
const NEW: &str = "20260401-0000000000bb";
const THIRD: &str = "20260402-0000000000cc";
const DCS: [&str; 2] = ["alder", "birch"];

fn fp(id: &str) -> String {
    id.chars().last().unwrap_or('0').to_string().repeat(64)
}

struct Bench {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    engine: Arc<Engine>,
}

impl Bench {
    fn new(more: &str) -> Self {
        let dir = testing::directory();
        let clock = Arc::new(ManualClock::new("2026-04-10T09:30:00Z".parse::<Timestamp>().unwrap(), "boot"));
        let without: String = ["G3", "G4", "G5", "G6", "G7", "G8"].map(|g| format!("{g} = \"none in this test\"\n")).concat();
        let dcs: String = DCS
            .iter()
            .map(|dc| format!("[promotion.el9.dc.{dc}]\nroot = \"{0}/{dc}\"\ntrees = [\"base={0}/live\"]\n", dir.path().display()))
            .collect();
        let site = format!(
            "[repos.base]\ntree = \"{}/live\"\n[content.el9-latest]\nrepos = [\"base\"]\nos = \"el9\"\n\
             [promotion.el9]\nset = \"el9-latest\"\nage = \"1h\"\ncalendar = \"changes\"\n{more}[promotion.el9.without]\n{without}{dcs}",
            dir.path().display()
        );
        std::fs::write(dir.path().join("config/site.toml"), site).unwrap();
        let engine = testing::engine(dir.path(), &clock);
        let bench = Self { dir, clock, engine };
        bench.calendar("");
        for dc in DCS {
            for id in [OLD, NEW, THIRD] {
                bench.snapshot(dc, id);
            }
            bench.lead(dc, OLD);
        }
        bench
    }

    fn root(&self, dc: &str) -> PathBuf {
        self.dir.path().join(dc)
    }

    fn calendar(&self, more: &str) {
        let past = "[[freeze]]\nfrom = \"2000-01-01\"\nto = \"2000-01-02\"\n";
        let text = format!("zone = \"UTC\"\nowner = \"ops\"\nreason = \"changes\"\n{past}{more}");
        std::fs::write(self.dir.path().join("config/calendars/changes.toml"), text).unwrap();
    }

    /// A snapshot as it says of itself.
    fn snapshot(&self, dc: &str, id: &str) {
        let at = self.root(dc).join("snapshots").join(id);
        std::fs::create_dir_all(at.join(".quarterdeck")).unwrap();
        std::fs::create_dir_all(at.join("base")).unwrap();
        let made_us = self.now_us() - 100 * HOUR;
        let raw = format!("<repomd>{id}</repomd>");
        std::fs::create_dir_all(at.join("base/repodata")).unwrap();
        std::fs::write(at.join("base/repodata/repomd.xml"), &raw).unwrap();
        let md = crate::systems::repo::read::sha256(raw.as_bytes());
        let text = format!(
            "{{\"format\":1,\"id\":\"{id}\",\"set\":\"el9-latest\",\"fp\":\"{}\",\"md\":\"m-{id}\",\"made\":\"\",\"made_us\":{made_us},\
             \"repos\":[{{\"name\":\"base\",\"from\":\"\",\"md\":\"{md}\",\"packages\":3,\"bytes\":9}}]}}",
            fp(id)
        );
        std::fs::write(at.join(".quarterdeck/snapshot.json"), text).unwrap();
    }

    fn lead(&self, dc: &str, id: &str) {
        let link = self.root(dc).join("stable");
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(format!("snapshots/{id}"), link).unwrap();
    }

    fn now_us(&self) -> i64 {
        self.clock.now().as_microsecond()
    }

    fn forward(&self, us: i64) {
        self.clock.advance_us(us);
    }

    fn note(&self) -> Note {
        let record = Record {
            who: Actor::engine("t"),
            action: "t".into(),
            subject: "t".into(),
            reason: String::new(),
            result: "done".into(),
            single_person: false,
        };
        Note { at_us: self.now_us(), record, decision: None }
    }

    async fn save(&self, was: Option<u64>, p: Promotion) -> Promotion {
        self.engine.store.save_promotion(Save::new(was, p)).await.unwrap()
    }

    /// A promotion whose candidate is pinned, judged once.
    async fn pinned(&self, lane: Lane, overlay: String) -> Promotion {
        let now = self.now_us();
        let mut p = Promotion::new(format!("PR-2026Q2-el9-{}", lane.as_str()), "el9", "el9-latest", person("ann", 1), "r", "", now);
        p.lane = lane;
        p.taken = DCS.map(|dc| taken(dc, if lane == Lane::Oob { OLD } else { NEW })).to_vec();
        p.overlay = overlay;
        p.go(Act::Pin, "t", "pinned", now).unwrap();
        let p = self.save(None, p).await;
        judge(&self.engine, p).await.unwrap()
    }

    async fn approved(&self, mut p: Promotion) -> Promotion {
        let at_us = self.now_us();
        for (i, side) in SIDES.iter().enumerate() {
            let who = person(side, 2 + i as u32);
            p.approvals.push(Approval {
                side: (*side).into(),
                who,
                at_us,
                comment: String::new(),
                sha: p.sha.clone(),
                single_person: false,
            });
        }
        let p = self.save(Some(p.version), p).await;
        judge(&self.engine, p).await.unwrap()
    }

    /// Its first pointer is about to move; the run is one that nobody has to look at.
    async fn switching(&self, mut p: Promotion) -> Promotion {
        let now = look_again(&self.engine, &p).await.unwrap();
        let before = |m: &crate::domain::promotion::plan::Move| Before {
            dc: m.dc.clone(),
            from: m.from.clone(),
            from_fp: m.from_fp.clone(),
            switched: false,
        };
        p.before = now.plan.moves.iter().map(before).collect();
        p.run = Some(RUN.into());
        p.watching = Some((Work::Switch, RUN.into()));
        p.started_us = Some(self.now_us());
        p.go(Act::Start, "t", "started", self.now_us()).unwrap();
        self.save(Some(p.version), p).await
    }

    async fn hold(&self, kind: Kind, promotion: &str, us: i64) -> Hold {
        let now = self.now_us();
        let held = Hold {
            id: 0,
            kind,
            os: "el9".into(),
            package: "ssl".into(),
            nevra: if kind == Kind::Oob { "ssl-3-1.noarch".into() } else { String::new() },
            source: if kind == Kind::Oob { "base".into() } else { String::new() },
            promotion: promotion.into(),
            served_us: None,
            owner: "sec".into(),
            reason: "INC-1".into(),
            who: person("ann", 1),
            made_us: now,
            until_us: now + us,
            recheck_us: now + us / 2,
            ended_us: None,
            ended: String::new(),
        };
        self.engine.store.save_hold(HoldSave { hold: held, was_until_us: None, note: self.note() }).await.unwrap()
    }
}

const RUN: &str = "quarterly-promotion#1";

fn person(name: &str, uid: u32) -> Actor {
    Actor::person(name, uid, Some(uid))
}

fn taken(dc: &str, base: &str) -> Taken {
    Taken { dc: dc.into(), base: base.into(), base_fp: fp(base), id: NEW.into(), fp: fp(NEW) }
}

/// As the runner asks: off the threads of its own runtime.
async fn ask(checks: &Arc<Checks>, stage: &'static str) -> Result<(), String> {
    let checks = checks.clone();
    tokio::task::spawn_blocking(move || checks.may_start(&RUN.parse::<RunRef>().unwrap(), stage)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn approvals_end_after_fourteen_days_and_a_promotion_after_ninety() {
    let b = Bench::new("");
    let p = b.pinned(Lane::Quarter, String::new()).await;
    assert_eq!((p.state, p.moved.as_slice()), (State::Ready, &[][..]), "{:?}", p.notes);
    let p = b.approved(p).await;
    assert_eq!(p.state, State::Approved);
    b.forward(APPROVED_US - 1);
    let p = judge(&b.engine, p).await.unwrap();
    assert_eq!(p.state, State::Approved);
    b.forward(1);
    let p = judge(&b.engine, p).await.unwrap();
    assert_eq!((p.state, p.approvals.len()), (State::Ready, 0), "{:?}", p.notes);
    assert!(p.notes.iter().any(|n| n.text.contains("an approval is over")), "{:?}", p.notes);
    let p = b.approved(p).await;
    assert_eq!(p.state, State::Approved, "asked anew, it is agreed to anew");
    b.forward(90 * DAY);
    let p = advance(&b.engine, p).await.unwrap();
    assert_eq!(p.state, State::Expired);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_of_a_hold_or_of_a_waiver_sends_what_rests_on_it_back_to_its_gates() {
    let b = Bench::new("");
    let held = b.hold(Kind::Hold, "", 7 * DAY).await;
    let p = b.pinned(Lane::Quarter, hold::overlay(&[held.line()])).await;
    assert_eq!(p.state, State::Ready, "{:?}", p.notes);
    let p = b.approved(p).await;
    b.forward(7 * DAY - 1);
    let p = judge(&b.engine, p).await.unwrap();
    assert_eq!(p.state, State::Approved);
    b.forward(1);
    let p = judge(&b.engine, p).await.unwrap();
    assert!(p.state == State::Gated && p.approvals.is_empty(), "{:?}", p.notes);
    assert!(p.moved.iter().any(|m| m.starts_with("holds: hold of ssl counts no more")), "{:?}", p.moved);
    assert!(look_again(&b.engine, &p).await.unwrap().hindrances()[0].contains("take it again"));
    // A gate that does not pass but is waived, until that ends.
    let b = Bench::new("");
    b.calendar("[[freeze]]\nfrom = \"2026-04-01\"\nto = \"2026-12-31\"\n");
    let mut p = b.pinned(Lane::Quarter, String::new()).await;
    assert_eq!(p.state, State::Gated);
    let (at_us, until_us) = (b.now_us(), b.now_us() + 3 * DAY);
    let second = Some(person("sec", 3));
    p.waivers.push(Waiver {
        gate: Gate::G9,
        who: person("ops", 2),
        reason: "agreed".into(),
        at_us,
        until_us,
        second,
        single_person: false,
    });
    let p = b.save(Some(p.version), p).await;
    let p = judge(&b.engine, p).await.unwrap();
    let p = b.approved(p).await;
    assert_eq!(p.state, State::Approved, "{:?}", p.notes);
    b.forward(3 * DAY);
    let p = judge(&b.engine, p).await.unwrap();
    assert!(p.state == State::Gated && p.moved[0].starts_with("gates.G9"), "{:?}", p.moved);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_addition_lasts_two_days_before_it_is_served_and_stays_served_after_them() {
    let b = Bench::new("");
    let id = format!("PR-2026Q2-el9-{}", Lane::Oob.as_str());
    let held = b.hold(Kind::Oob, &id, 48 * HOUR).await;
    let p = b.pinned(Lane::Oob, hold::overlay(&[held.line()])).await;
    assert_eq!(p.state, State::Ready, "{:?}", p.notes);
    b.forward(48 * HOUR - 1);
    let p = judge(&b.engine, p).await.unwrap();
    assert_eq!(p.state, State::Ready);
    b.forward(1);
    let p = judge(&b.engine, p).await.unwrap();
    assert_eq!(p.state, State::Expired);
    let all = b.engine.store.holds().unwrap();
    assert!(all[0].ended.contains("expired") && all[0].ended_us.is_some(), "{all:?}");
    // One that is served: nothing takes it out by the clock, and the next promotion has to say what becomes of it.
    let b = Bench::new("");
    let held = b.hold(Kind::Oob, &id, 48 * HOUR).await;
    let served = Hold { served_us: Some(b.now_us()), ..held.clone() };
    b.engine.store.save_hold(HoldSave { hold: served, was_until_us: Some(held.until_us), note: b.note() }).await.unwrap();
    b.forward(49 * HOUR);
    let all = b.engine.store.holds().unwrap();
    assert_eq!((all[0].state(b.now_us()), all[0].ended_us), (hold::State::Expired, None));
    let p = b.pinned(Lane::Quarter, String::new()).await;
    let now = look_again(&b.engine, &p).await.unwrap();
    assert_eq!(now.plan.additions.len(), 1);
    // Nobody can read what the candidate has, so nobody knows whether it absorbs it.
    assert!(
        p.state == State::Gated && now.hindrances()[0].contains("nobody knows whether the candidate has ssl-3-1.noarch"),
        "{:?}",
        now.hindrances()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leave_to_move_a_pointer_ends_with_whatever_its_plan_rests_on() {
    type Change = fn(&Bench);
    let cases: [(&str, Change, &str); 9] = [
        ("another pointer", |b| b.lead("birch", THIRD), "moves.birch.from"),
        ("its own pointer", |b| b.lead("alder", THIRD), "moves.alder.from"),
        ("the candidate is gone", |b| std::fs::remove_dir_all(b.root("birch").join("snapshots").join(NEW)).unwrap(), "moves.birch.to_fp"),
        ("the way back is gone", |b| std::fs::remove_dir_all(b.root("birch").join("snapshots").join(OLD)).unwrap(), "gates.G10"),
        (
            "the candidate says that it is other content",
            |b| {
                let at = b.root("birch").join("snapshots").join(NEW).join(".quarterdeck/snapshot.json");
                let text = std::fs::read_to_string(&at).unwrap().replace(&fp(NEW), &"d".repeat(64));
                std::fs::write(at, text).unwrap();
            },
            "gates.G1",
        ),
        ("a freeze begins", |b| b.calendar("[[freeze]]\nfrom = \"2026-04-01\"\nto = \"2026-12-31\"\n"), "gates.G9"),
        (
            "a window closes",
            |b| {
                b.calendar("[[window]]\nfrom = \"09:00\"\nto = \"10:00\"\n");
                b.forward(HOUR);
            },
            "gates.G9",
        ),
        (
            "a formula more is required",
            |b| {
                let text = "format: 1\nname: f\nlabels: {formula: base}\nstages:\n  - {name: t, run: 'true'}\n";
                std::fs::write(b.dir.path().join("config/pipelines/f.yml"), text).unwrap();
            },
            "gates.G5",
        ),
        ("time", |b| b.forward(APPROVED_US), "the approvals of"),
    ];
    for (what, change, wanted) in cases {
        let b = Bench::new("");
        let checks = Arc::new(Checks::default());
        checks.know(Arc::downgrade(&b.engine));
        assert!(checks.concerns("quarterly-promotion", "Switch alder") && checks.concerns("promotion-rollback", "Back alder"));
        assert!(!checks.concerns("quarterly-promotion", "Verify alder") && !checks.concerns("other", "Switch alder"));
        let p = b.pinned(Lane::Quarter, String::new()).await;
        let p = b.approved(p).await;
        assert_eq!(p.state, State::Approved, "{what}: {:?}", p.notes);
        assert!(ask(&checks, "Switch alder").await.unwrap_err().contains("no promotion awaits"), "{what}");
        let p = b.switching(p).await;
        assert_eq!(ask(&checks, "Switch alder").await, Ok(()), "{what}");
        // Our own switch moves nothing of it.
        b.lead("alder", NEW);
        assert_eq!(ask(&checks, "Switch birch").await, Ok(()), "{what}");
        b.lead("alder", OLD);
        change(&b);
        let why = ask(&checks, "Switch birch").await.unwrap_err();
        assert!(why.contains(wanted), "{what}: {why}");
        let now = look_again(&b.engine, &p).await.unwrap();
        assert!(halts(&b.engine, &p, &now).unwrap().is_some(), "{what}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hold_that_is_added_between_two_datacentres_holds_the_second_back() {
    let b = Bench::new("");
    let checks = Arc::new(Checks::default());
    checks.know(Arc::downgrade(&b.engine));
    let p = b.pinned(Lane::Quarter, String::new()).await;
    let p = b.approved(p).await;
    let p = b.switching(p).await;
    b.lead("alder", NEW);
    b.hold(Kind::Hold, "", DAY).await;
    assert!(ask(&checks, "Switch birch").await.unwrap_err().contains("holds: hold of ssl is new"));
    // Where it is taken back, the plan is the one that was agreed to.
    b.forward(DAY);
    assert_eq!(ask(&checks, "Switch birch").await, Ok(()));
    // A halt ends the leave at once, whatever the plan says.
    let mut halted = p.clone();
    halted.go(Act::Halt, "t", "halted", b.now_us()).unwrap();
    b.save(Some(p.version), halted).await;
    assert!(ask(&checks, "Switch birch").await.unwrap_err().ends_with("is HALTED"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn behind_the_last_switch_only_what_is_served_still_counts() {
    let b = Bench::new("");
    let p = b.pinned(Lane::Quarter, String::new()).await;
    let p = b.approved(p).await;
    let mut p = b.switching(p).await;
    for dc in DCS {
        b.lead(dc, NEW);
    }
    p.before.iter_mut().for_each(|d| d.switched = true);
    p.go(Act::Switched, "t", "switched", b.now_us()).unwrap();
    p.go(Act::Halt, "t", "halted", b.now_us()).unwrap();
    let p = b.save(Some(p.version), p).await;
    // A calendar closes, approvals end, a hold comes: none of it is a reason to ask the gates about what is served already.
    b.calendar("[[freeze]]\nfrom = \"2026-04-01\"\nto = \"2026-12-31\"\n");
    b.hold(Kind::Hold, "", 30 * DAY).await;
    b.forward(APPROVED_US + DAY);
    let now = look_again(&b.engine, &p).await.unwrap();
    assert_ne!(now.sha, p.sha);
    assert_eq!(halts(&b.engine, &p, &now).unwrap(), None);
    // Somebody's own switch is one.
    b.lead("birch", THIRD);
    let now = look_again(&b.engine, &p).await.unwrap();
    let moved = halts(&b.engine, &p, &now).unwrap().unwrap();
    assert!(!moved.is_empty() && moved.iter().all(|m| m.starts_with("moves.birch")), "{moved:?}");
    // So is a candidate that is not what it says any more.
    b.lead("birch", NEW);
    std::fs::write(b.root("alder").join("snapshots").join(NEW).join("base/repodata/repomd.xml"), "other").unwrap();
    let now = look_again(&b.engine, &p).await.unwrap();
    assert!(halts(&b.engine, &p, &now).unwrap().unwrap()[0].starts_with("moves.alder.to_fp"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_only_says_that_it_is_there_is_no_way_back() {
    let b = Bench::new("");
    let p = b.pinned(Lane::Quarter, String::new()).await;
    assert_eq!(p.state, State::Ready, "{:?}", p.notes);
    // As `rm -r snapshots/ID/*` leaves it: the hidden directory stays.
    std::fs::remove_dir_all(b.root("birch").join("snapshots").join(OLD).join("base")).unwrap();
    let p = judge(&b.engine, p).await.unwrap();
    let now = look_again(&b.engine, &p).await.unwrap();
    assert_eq!(p.state, State::Gated, "{:?}", p.notes);
    assert!(now.hindrances().iter().any(|h| h.contains("birch has no snapshot to go back to")), "{:?}", now.hindrances());
}
