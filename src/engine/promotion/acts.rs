//! Doing what people ask of promotions. The caller's wish was judged before; here it is judged again under the turn, and written with its entry.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::driver::{advance, halted, send_back};
use super::save::{look_again, own, save};
use super::wish::{Wish, find, pending, wanted_sha};
use super::{additions, back, closed, holds as held, oob, roots};
use crate::action::Action;
use crate::api::ApiError;
use crate::api::types::{Do, Done};
use crate::base::crash;
use crate::domain::audit::Record;
use crate::domain::decision::{Detail, Kind, NewDecision};
use crate::domain::promotion::hold;
use crate::domain::promotion::state::{Act, Refusal, State};
use crate::domain::promotion::{Approval, Before, Lane, Pending, Promotion, Waiver, Work, name};
use crate::engine::asked::ahead;
use crate::engine::blocking::blocking;
use crate::engine::entry;
use crate::engine::guard::Caller;
use crate::engine::state::Engine;
use crate::store::{DecisionEdit, Note, Save};

const DAY_US: i64 = 86_400 * 1_000_000;
const LONGEST_WAIVER_US: i64 = 14 * DAY_US;

/// One request on its way.
struct Job<'a> {
    engine: &'a Arc<Engine>,
    caller: &'a Caller,
    action: &'static Action,
    request: &'a Do,
    wish: Wish,
}

/// Carries it out.
pub async fn perform(engine: &Arc<Engine>, caller: &Caller, action: &'static Action, request: &Do, wish: Wish) -> Result<Done, ApiError> {
    if action.id.starts_with("hold-") {
        let _turn = engine.promotions.turn.lock().await;
        return held::perform(engine, caller, action, request).await;
    }
    if action.id == "oob-add" {
        let _turn = engine.promotions.turn.lock().await;
        return oob::perform(engine, caller, action, request).await;
    }
    let job = Job { engine, caller, action, request, wish };
    if action.always() {
        // Never behind anybody's work: the run is told first, whatever the record has to wait for.
        job.stop_first().await;
    }
    let _turn = engine.promotions.turn.lock().await;
    if action.id == "promote" {
        return job.open().await;
    }
    let p = {
        let (engine, id) = (engine.clone(), request.target.clone());
        blocking(move || find(&engine, &id)).await?
    };
    if !action.always() && (p.watching.is_some() || p.pending.is_some()) {
        return Err(ApiError::refused(format!("a run is at work for {}", p.id), format!("quarterdeck why {}", p.id)));
    }
    match action.id {
        "promote-soak" => job.soak(p).await,
        "promote-approve" => job.approve(p).await,
        "promote-waive" => job.waive(p).await,
        "promote-start" => job.start(p).await,
        "promote-halt" => job.halt(p).await,
        "promote-resume" => job.resume(p).await,
        "promote-rollback" => job.roll_back(p).await,
        _ => job.veto(p).await,
    }
}

fn refused(p: &Promotion) -> impl Fn(Refusal) -> ApiError + '_ {
    move |e| ApiError::refused(format!("{}: {e}", p.id), format!("look: quarterdeck why {}", p.id))
}

impl Job<'_> {
    fn note(&self, subject: &str, single: bool, decision: Option<DecisionEdit>) -> Note {
        let record: Record = entry::record(self.caller, self.action, subject, &self.request.reason, "done".into(), single);
        Note { at_us: self.engine.now_us(), record, decision }
    }

    fn done(p: &Promotion, message: String) -> Done {
        Done { run: p.watching.as_ref().map(|(_, r)| r.clone()), message, single_person: false }
    }

    fn who(&self) -> &str {
        &self.caller.actor.name
    }

    async fn open(&self) -> Result<Done, ApiError> {
        let (engine, os, now) = (self.engine.clone(), self.wish.os.clone(), self.engine.clock.now());
        let (set, id) = blocking(move || {
            let site = engine.site()?;
            let set = roots::table(&site, &os)?.set.clone();
            let zone = crate::base::zone::named(&site.time_zone).unwrap_or(jiff::tz::TimeZone::UTC);
            let all = engine.store.promotions()?;
            Ok((set, name(now.to_zoned(zone).date(), &os, |n| all.iter().any(|p| p.id == n))))
        })
        .await?;
        let change = self.request.with.get("change").map(|c| crate::base::sanitise::cell(c)).unwrap_or_default();
        let now_us = self.engine.now_us();
        let mut p = Promotion::new(id.clone(), &self.wish.os, &set, self.caller.actor.clone(), &self.request.reason, &change, now_us);
        p.note(self.who(), "opened", now_us);
        let note = self.note(&id, false, None);
        let p = save(self.engine, Save { notes: vec![note], ..Save::new(None, p) }).await?;
        // The plan of what is not taken yet: it says what is missing.
        let now = look_again(self.engine, &p).await?;
        let (was, plan, gates) = (p.version, Some(now.row("opened")), now.gate_rows());
        let p = save(self.engine, Save { plan, gates, ..Save::new(Some(was), Promotion { sha: now.sha.clone(), ..p }) }).await?;
        Ok(Self::done(&p, format!("{id} is DRAFT: take its candidate: quarterdeck do promote-soak {id}")))
    }

    fn pending(&self, p: &Promotion, what: Work) -> Pending {
        pending(self.caller, self.request, p, what)
    }

    async fn soak(&self, mut p: Promotion) -> Result<Done, ApiError> {
        let was = p.version;
        let retake = self.request.with.get("retake").is_some_and(|r| r == "true");
        let now = look_again(self.engine, &p).await?;
        let over = now.plan.moves.iter().all(|m| m.over.is_none() || m.from.snapshot() == m.over.as_deref());
        if !p.taken.is_empty() && !retake && over && now.plan.overlay_wanted == p.overlay {
            let help = "what soaks stays as it was taken; --with retake=true takes what the trees hold now, and judges that anew";
            return Err(ApiError::refused(format!("{} has its candidate: {}", p.id, p.taken[0].id), help));
        }
        if p.has_switched() {
            return Err(ApiError::refused(format!("a part of {} is served already", p.id), "go on with it, or roll it back"));
        }
        self.closed(&p, retake).await?;
        p.pending = Some(Pending { retake, ..self.pending(&p, Work::Soak) });
        p.note(self.who(), "soak asked for", self.engine.now_us());
        let note = self.note(&p.id, false, None);
        let p = save(self.engine, Save { notes: vec![note], ..Save::new(Some(was), p) }).await?;
        crash::point("promotion.decided");
        let p = advance(self.engine, p).await?;
        let run = p.watching.as_ref().map(|(_, r)| r.clone()).unwrap_or_default();
        if run.is_empty() && p.taken.is_empty() {
            let why = p.notes.last().map(|n| n.text.clone()).unwrap_or_default();
            return Err(ApiError::failed(format!("{}: {why}", p.id), ""));
        }
        Ok(Self::done(&p, format!("{0} takes its candidate: {run}; what it waits for behind that: quarterdeck why {0}", p.id)))
    }

    /// With what is held, the candidate must install: its run would say so too, but late.
    async fn closed(&self, p: &Promotion, retake: bool) -> Result<(), ApiError> {
        let (engine, p) = (self.engine.clone(), p.clone());
        blocking(move || {
            let holds = engine.store.holds()?;
            let lines = hold::lines(&holds, &p, engine.now_us());
            if p.lane == Lane::Oob {
                return oob::closed(&*engine.site()?, &p.os, &lines);
            }
            let names: BTreeSet<String> = lines.into_iter().map(|l| l.package).collect();
            if names.is_empty() { Ok(()) } else { closed::holds(&*engine.site()?, &p.os, Some(&p), retake, &names, None) }
        })
        .await
    }

    async fn approve(&self, mut p: Promotion) -> Result<Done, ApiError> {
        let was = p.version;
        // Approved is what is there at this moment, and nothing else.
        let now = look_again(self.engine, &p).await?;
        if now.sha != p.sha {
            let p = send_back(self.engine, p, &now).await?;
            return Err(moved_under(&p));
        }
        wanted_sha(&p, &self.request.with)?;
        if p.state != State::Ready {
            return Err(ApiError::refused(format!("{} is {}", p.id, p.state), format!("quarterdeck why {}", p.id)));
        }
        let (side, single) = (self.wish.side.clone(), self.wish.alone);
        if !single {
            let given: Vec<&Approval> = p.given(&p.sha, self.engine.now_us()).collect();
            if given.iter().any(|a| a.side == side) {
                return Err(ApiError::refused(format!("{side} has approved {} already", p.id), "nothing to do"));
            }
            crate::domain::person::counts(&self.caller.actor, None, given.iter().map(|a| &a.who))
                .map_err(|e| ApiError::refused(format!("{}: {e}", p.id), "somebody else must approve for this side"))?;
        }
        let at_us = self.engine.now_us();
        p.approvals.push(Approval {
            side: side.clone(),
            who: self.caller.actor.clone(),
            at_us,
            comment: self.request.reason.clone(),
            sha: p.sha.clone(),
            single_person: single,
        });
        p.note(self.who(), format!("approved for {side}, plan {}", p.sha.get(..12).unwrap_or_default()), at_us);
        let decision = NewDecision {
            kind: Kind::Approve,
            subject: p.id.clone(),
            sha: p.sha.clone(),
            who: None,
            why: self.request.reason.clone(),
            until_us: None,
            detail: Detail { single_person: single, answers: [("side".to_owned(), side.clone())].into(), ..Detail::default() },
        };
        let mut notes = vec![self.note(&p.id, single, Some(DecisionEdit::Make(Box::new(decision))))];
        if p.approved(&p.sha, at_us) {
            p.go(Act::Agree, "engine", "approvals suffice", at_us).map_err(refused(&p.clone()))?;
            notes.push(own(self.engine, "promotion", &p, "APPROVED"));
        }
        let p = save(self.engine, Save { notes, ..Save::new(Some(was), p) }).await?;
        let missing = p.missing(&p.sha, at_us).join(", ");
        let told = match p.state {
            State::Approved => {
                format!("{} is APPROVED: quarterdeck do promote-start {} --confirm 'promote {}' --reason T", p.id, p.id, p.os)
            }
            _ => format!("{}: approved for {side}; still missing: {missing}", p.id),
        };
        Ok(Done { single_person: single, ..Self::done(&p, told) })
    }

    async fn waive(&self, mut p: Promotion) -> Result<Done, ApiError> {
        let (Some(gate), now_us) = (self.wish.gate, self.engine.now_us()) else {
            return Err(ApiError::bad("no gate was named", "--with gate=G8"));
        };
        let was = p.version;
        let mut until_us = match self.request.with.get("until") {
            None => now_us + LONGEST_WAIVER_US,
            Some(text) => ahead(text, self.engine.now_us())?,
        };
        if until_us <= now_us || until_us - now_us > LONGEST_WAIVER_US {
            return Err(ApiError::bad("a waiver ends within 14 days", "--with until=7d"));
        }
        let single = self.wish.alone;
        let open = p.waivers.iter_mut().rev().find(|w| w.gate == gate && w.second.is_none() && !w.single_person);
        let proposed = open.is_none() && !single;
        let told = match open {
            Some(first) if !single => {
                crate::domain::person::counts(&self.caller.actor, None, [&first.who])
                    .map_err(|e| ApiError::refused(format!("{gate}: {e}"), "a second person must say the same"))?;
                first.second = Some(self.caller.actor.clone());
                // They agree with what was proposed, and with its end.
                until_us = first.until_us;
                format!("{gate} is waived until {}", crate::engine::rows::time(until_us))
            }
            _ => {
                p.waivers.push(Waiver {
                    gate,
                    who: self.caller.actor.clone(),
                    reason: self.request.reason.clone(),
                    at_us: now_us,
                    until_us,
                    second: None,
                    single_person: single,
                });
                match single {
                    true => format!("{gate} is waived until {}", crate::engine::rows::time(until_us)),
                    false => format!("the waiver of {gate} is proposed: it counts once a second person says the same"),
                }
            }
        };
        p.note(self.who(), format!("{told}: {}", self.request.reason), now_us);
        let decision = NewDecision {
            kind: Kind::Waive,
            subject: format!("{}/{gate}", p.id),
            sha: p.sha.clone(),
            who: None,
            why: self.request.reason.clone(),
            until_us: Some(until_us),
            detail: Detail { single_person: single, proposed, ..Detail::default() },
        };
        let note = self.note(&format!("{}/{gate}", p.id), single, Some(DecisionEdit::Make(Box::new(decision))));
        let p = save(self.engine, Save { notes: vec![note], ..Save::new(Some(was), p) }).await?;
        let p = advance(self.engine, p).await?;
        Ok(Done { single_person: single, ..Self::done(&p, format!("{}: {told}", p.id)) })
    }

    async fn start(&self, mut p: Promotion) -> Result<Done, ApiError> {
        let now = look_again(self.engine, &p).await?;
        if now.sha != p.sha || !now.plan.ready() {
            if matches!(p.state, State::Ready | State::Approved) {
                let p = send_back(self.engine, p, &now).await?;
                return Err(moved_under(&p));
            }
            return Err(ApiError::refused(format!("{} is {}", p.id, p.state), format!("quarterdeck why {}", p.id)));
        }
        wanted_sha(&p, &self.request.with)?;
        let all = self.engine.store.promotions()?;
        if let Some(other) = all.iter().find(|o| o.os == p.os && o.id != p.id && o.is_half_way()) {
            return Err(ApiError::refused(
                format!("{} is {}: its pointers are on their way", other.id, other.state),
                format!("wait, or end it first: quarterdeck why {}", other.id),
            ));
        }
        if !p.approved(&p.sha, now.at_us) {
            return Err(ApiError::refused(format!("{} lacks approvals", p.id), format!("quarterdeck why {}", p.id)));
        }
        let (was, now_us) = (p.version, self.engine.now_us());
        p.before = now
            .plan
            .moves
            .iter()
            .map(|m| match p.before.iter().find(|b| b.dc == m.dc && b.switched) {
                Some(done) => done.clone(),
                None => Before { dc: m.dc.clone(), from: m.from.clone(), from_fp: m.from_fp.clone(), switched: false },
            })
            .collect();
        p.pending = Some(self.pending(&p, Work::Switch));
        p.started_us = Some(now_us);
        p.go(Act::Start, self.who(), format!("started: {}", self.request.reason), now_us).map_err(refused(&p.clone()))?;
        let note = self.note(&p.id, false, None);
        let save_it = Save { notes: vec![note], ..Save::new(Some(was), p) };
        let p = save(self.engine, save_it).await?;
        crash::point("promotion.decided");
        let p = advance(self.engine, p).await?;
        let run = p.watching.as_ref().map(|(_, r)| r.clone()).unwrap_or_default();
        Ok(Self::done(&p, format!("{} is {}: {run}", p.id, p.state)))
    }

    /// Tells the run at once; the record follows.
    async fn stop_first(&self) {
        let run = self.wish.promotion.as_ref().and_then(|p| p.watching.as_ref()).and_then(|(_, r)| r.parse().ok());
        if let Some(run) = run {
            let why = if self.request.reason.is_empty() { "halted" } else { &self.request.reason };
            let _ = self.engine.runner.cancel(&run, &self.caller.actor, why, false, None).await;
        }
    }

    async fn halt(&self, mut p: Promotion) -> Result<Done, ApiError> {
        let was = p.version;
        if p.is_going_back() {
            let run = p.pending.take().map(|w| self.begun(&p, &w)).transpose()?.flatten();
            p.watching = run.map(|r| (Work::Undo, r)).or(p.watching);
            p.note(self.who(), "the way back is halted: no further pointer is taken back", self.engine.now_us());
            let note = self.note(&p.id, false, None);
            let p = save(self.engine, Save { notes: vec![note], ..Save::new(Some(was), p) }).await?;
            // One that began under the question.
            if let Some(run) = p.watching.as_ref().and_then(|(_, r)| r.parse().ok()) {
                let _ = self.engine.runner.cancel(&run, &self.caller.actor, "halted", false, None).await;
            }
            return Ok(Self::done(&p, format!("the way back of {} is halted: ask for it again, or leave it where it is", p.id)));
        }
        let why = if self.request.reason.is_empty() { "halted".to_owned() } else { format!("halted: {}", self.request.reason) };
        if p.state == State::Halted {
            // The end of its run may have been seen before this had its turn: who stopped it belongs to the story all the same.
            p.note(self.who(), why, self.engine.now_us());
            let note = self.note(&p.id, false, None);
            let p = save(self.engine, Save { notes: vec![note], ..Save::new(Some(was), p) }).await?;
            return Ok(Self::done(&p, format!("{} is HALTED", p.id)));
        }
        // A start that is not a run yet must not become one. One that is, and was not recorded yet, is awaited and ended.
        if let Some(pending) = p.pending.take()
            && let Some(run) = self.begun(&p, &pending)?
        {
            if pending.what == Work::Switch {
                p.run = Some(run.clone());
            }
            p.watching = Some((pending.what, run));
        }
        p.go(Act::Halt, self.who(), why, self.engine.now_us()).map_err(refused(&p.clone()))?;
        let note = self.note(&p.id, false, None);
        let p = save(self.engine, Save { notes: vec![note], ..Save::new(Some(was), p) }).await?;
        crash::point("promotion.halted");
        let p = advance(self.engine, p).await?;
        Ok(Self::done(&p, format!("{} is HALTED: nothing new starts; a switch that has begun is finished", p.id)))
    }

    /// The run of what was decided, where it is there already.
    fn begun(&self, p: &Promotion, pending: &Pending) -> Result<Option<String>, ApiError> {
        if pending.round.is_some() {
            return Ok(p.run.clone());
        }
        let run = self.engine.store.run_of_cause(&pending.cause)?;
        Ok(run.map(|r| r.to_string()))
    }

    async fn resume(&self, mut p: Promotion) -> Result<Done, ApiError> {
        let now = look_again(self.engine, &p).await?;
        if halted(self.engine, &p, &now).await?.is_some() {
            let p = send_back(self.engine, p, &now).await?;
            return Err(moved_under(&p));
        }
        let was = p.version;
        let mut pending = self.pending(&p, Work::Switch);
        if let Some(run) = p.run.as_ref().and_then(|r| r.parse::<crate::domain::run::RunRef>().ok()) {
            pending.round = Some(self.engine.store.run(&run)?.round);
        }
        p.go(Act::Resume, self.who(), format!("resumed: {}", self.request.reason), self.engine.now_us()).map_err(refused(&p.clone()))?;
        p.pending = Some(pending);
        let note = self.note(&p.id, false, None);
        let p = save(self.engine, Save { notes: vec![note], ..Save::new(Some(was), p) }).await?;
        crash::point("promotion.decided");
        let p = advance(self.engine, p).await?;
        Ok(Self::done(&p, format!("{} goes on: {}", p.id, p.state)))
    }

    async fn roll_back(&self, mut p: Promotion) -> Result<Done, ApiError> {
        let now = look_again(self.engine, &p).await?;
        if let Some(why) = back::hindrance(&p, &now.roots, None) {
            let help = "somebody has changed it since: look who, and put it right by hand, or promote other content forward";
            return Err(ApiError::refused(format!("{}: {why}", p.id), help));
        }
        let was = p.version;
        p.pending = Some(self.pending(&p, Work::Undo));
        p.note(self.who(), format!("roll back asked for: {}", self.request.reason), self.engine.now_us());
        let note = self.note(&p.id, false, None);
        // As it was when the way back began: for whoever asks later.
        let (plan, gates) = (Some(now.row("rolled back")), now.gate_rows());
        let p = save(self.engine, Save { notes: vec![note], plan, gates, ..Save::new(Some(was), p) }).await?;
        crash::point("promotion.decided");
        let p = advance(self.engine, p).await?;
        let run = p.watching.as_ref().map(|(_, r)| r.clone()).unwrap_or_default();
        if run.is_empty() && p.state != State::RolledBack {
            let why = p.notes.last().map(|n| n.text.clone()).unwrap_or_default();
            return Err(ApiError::failed(format!("{}: {why}", p.id), ""));
        }
        let mut told = format!("{} is being rolled back: {run}", p.id);
        for line in &now.plan.undo {
            told.push_str(&format!("\nundo: {line}"));
        }
        for line in &now.plan.not_undone {
            told.push_str(&format!("\nnot undone: {line}"));
        }
        Ok(Self::done(&p, told))
    }

    async fn veto(&self, mut p: Promotion) -> Result<Done, ApiError> {
        let was = p.version;
        if p.has_switched() {
            return Err(ApiError::refused(format!("a part of {} is served", p.id), "roll it back"));
        }
        p.go(Act::Veto, self.who(), format!("vetoed: {}", self.request.reason), self.engine.now_us()).map_err(refused(&p.clone()))?;
        let decision = NewDecision {
            kind: Kind::Veto,
            subject: p.id.clone(),
            sha: p.sha.clone(),
            who: None,
            why: self.request.reason.clone(),
            until_us: None,
            detail: Detail::default(),
        };
        let note = self.note(&p.id, false, Some(DecisionEdit::Make(Box::new(decision))));
        let holds = additions::ended(self.engine, &p, &format!("{} was vetoed", p.id)).await?;
        let p = save(self.engine, Save { void: true, notes: vec![note], holds, ..Save::new(Some(was), p) }).await?;
        Ok(Self::done(&p, format!("{} is VETOED", p.id)))
    }
}

fn moved_under(p: &Promotion) -> ApiError {
    ApiError::refused(
        format!("{} has moved and is {} again: {}", p.id, p.state, p.moved.join("; ")),
        format!("nothing was started; judge what is there now: quarterdeck why {}", p.id),
    )
}
