//! Fingerprints of content sets around a run, and the rule that makes a run INVALID or `no-change`. Pure but for the probe.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Notify;

use crate::domain::reason::Reason;

/// A far end that writes is asked again so often, by whoever waits for it.
pub(super) const BUSY_AGAIN: Duration = Duration::from_secs(5);

/// What a content set looks like now. No `fp` = unknown, which equals nothing, not even itself; `detail` says why.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reading {
    pub fp: Option<String>,
    pub md: Option<String>,
    pub detail: String,
}

/// Reads content sets of the site. The engine implements it over `systems::repo`; it must give up by itself in finite time.
pub trait ContentProbe: Send + Sync {
    /// Never fails: what cannot be read is a reading without `fp`.
    fn read(&self, set: &str) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>>;

    /// Why these sets and trees must not be looked at now: a far end is writing them, whoever asked it to. None = nothing is known of any.
    fn busy<'a>(&'a self, _sets: &'a [String], _trees: &'a [String]) -> Pin<Box<dyn Future<Output = Option<Reason>> + Send + 'a>> {
        Box::pin(async { None })
    }

    /// A step of ours that worked at this far end has ended: what is known of before is no answer any more.
    fn over(&self, _system: &str, _name: &str) {}

    /// Why a repository is not to be written by a sync: people decided so. `repo` is its name, `tree` where the sync would write; either is
    /// enough to know it by. A sentence that names it as the site does; none = it may.
    fn frozen(&self, _repo: &str, _tree: &str) -> Option<String> {
        None
    }
}

/// What holds a run's reading, where something does. Whoever waits for it holds the weak end and leaves with the run.
pub type Busy = std::sync::Arc<std::sync::Mutex<Option<Reason>>>;

/// Waits until nobody writes the sets, and keeps the reason in `busy` meanwhile. It is asked again after a while, and at once when something
/// of ours has ended at a far end. `tell` says that the reason changed. False: the run is gone.
pub async fn calm(
    probe: &dyn ContentProbe,
    sets: &[String],
    busy: std::sync::Weak<std::sync::Mutex<Option<Reason>>>,
    (ended, again): (&Notify, Duration),
    tell: impl Fn(),
) -> bool {
    loop {
        // What ends while it is asked is not missed.
        let told = ended.notified();
        tokio::pin!(told);
        told.as_mut().enable();
        let found = probe.busy(sets, &[]).await;
        let Some(held) = busy.upgrade() else { return false };
        let over = found.is_none();
        let changed = held.lock().is_ok_and(|mut now| {
            let changed = *now != found;
            *now = found;
            changed
        });
        drop(held);
        if changed {
            tell();
        }
        if over {
            return true;
        }
        let _ = tokio::time::timeout(again, told).await;
    }
}

/// Readings by set.
pub type Readings = BTreeMap<String, Reading>;

fn known(r: Option<&Reading>) -> Result<&str, String> {
    match r {
        Some(Reading { fp: Some(fp), .. }) => Ok(fp),
        Some(r) if r.detail.is_empty() => Err("unknown".to_owned()),
        Some(r) => Err(format!("unknown ({})", r.detail)),
        None => Err("unknown (it was not read)".to_owned()),
    }
}

/// Why a run whose every step passed is invalid, if it is. `left` is what the run's own steps said they left in a set.
///
/// A set that the run only reads must be the same before and after. A set that it writes must be, at the end, what its own
/// last word about it says: anything else was written by a stranger. Unknown equals nothing.
pub fn invalid(
    reads: &[String],
    writes: &[String],
    before: &Readings,
    after: &Readings,
    left: &BTreeMap<String, String>,
) -> Option<String> {
    for set in reads.iter().filter(|s| !writes.contains(s)) {
        match (known(before.get(set)), known(after.get(set))) {
            (Ok(a), Ok(b)) if a == b => {}
            (Ok(a), Ok(b)) => return Some(format!("content `{set}` moved during the run: {a} before, {b} after")),
            (a, b) => {
                let say = |r: Result<&str, String>| r.map_or_else(|why| why, str::to_owned);
                return Some(format!("nobody can say that content `{set}` stood still: {} before, {} after", say(a), say(b)));
            }
        }
    }
    for set in writes {
        let Some(own) = left.get(set) else { continue };
        match known(after.get(set)) {
            Ok(fp) if fp == own => {}
            Ok(fp) => return Some(format!("somebody else wrote content `{set}`: this run left {own}, at its end it is {fp}")),
            Err(why) => return Some(format!("this run left content `{set}` at {own}, but at its end it is {why}")),
        }
    }
    None
}

/// True where the run writes content and every set that it writes is, provably, what it was.
pub fn no_change(writes: &[String], before: &Readings, after: &Readings) -> bool {
    !writes.is_empty() && writes.iter().all(|s| matches!((known(before.get(s)), known(after.get(s))), (Ok(a), Ok(b)) if a == b))
}

/// One fingerprint for the run's row: that of a single set, else sha256 over the sorted lines `SET<TAB>FP`; none where any is unknown.
pub fn combined(readings: &Readings) -> Option<String> {
    match readings.len() {
        0 => None,
        1 => readings.values().next()?.fp.clone(),
        _ => {
            let mut hash = Sha256::new();
            for (set, r) in readings {
                hash.update(format!("{set}\t{}\n", r.fp.as_ref()?));
            }
            Some(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(pairs: &[(&str, &str)]) -> Readings {
        pairs
            .iter()
            .map(|(s, f)| {
                let fp = (*f != "?").then(|| (*f).to_owned());
                ((*s).to_owned(), Reading { fp, md: None, detail: String::new() })
            })
            .collect()
    }

    fn names(n: &[&str]) -> Vec<String> {
        n.iter().map(|s| (*s).to_owned()).collect()
    }

    #[test]
    fn moved_or_unknown_inputs_are_invalid_and_unknown_does_not_equal_itself() {
        let r = names(&["a"]);
        let judge = |b: &str, a: &str| invalid(&r, &[], &at(&[("a", b)]), &at(&[("a", a)]), &BTreeMap::new());
        assert_eq!(judge("1", "1"), None);
        let why = judge("1", "2").unwrap();
        assert!(why.contains("`a`") && why.contains("1 before") && why.contains("2 after"), "{why}");
        for (b, a) in [("?", "1"), ("1", "?"), ("?", "?")] {
            assert!(judge(b, a).unwrap().contains("unknown"), "{b} {a}");
        }
        assert!(invalid(&r, &[], &Readings::new(), &Readings::new(), &BTreeMap::new()).unwrap().contains("not read"));
    }

    #[test]
    fn a_writer_may_move_its_own_set_but_nobody_else_may() {
        let w = names(&["a"]);
        let left = BTreeMap::from([("a".to_owned(), "2".to_owned())]);
        let judge = |a: &str| invalid(&w, &w, &at(&[("a", "1")]), &at(&[("a", a)]), &left);
        assert_eq!(judge("2"), None);
        assert!(judge("3").unwrap().contains("somebody else"));
        assert!(judge("?").is_some());
        assert_eq!(invalid(&[], &w, &at(&[("a", "1")]), &at(&[("a", "9")]), &BTreeMap::new()), None, "a step that says nothing");
    }

    #[test]
    fn no_change_is_proved_or_not_said() {
        let w = names(&["a", "b"]);
        assert!(no_change(&w, &at(&[("a", "1"), ("b", "2")]), &at(&[("a", "1"), ("b", "2")])));
        assert!(!no_change(&w, &at(&[("a", "1"), ("b", "2")]), &at(&[("a", "1"), ("b", "3")])));
        assert!(!no_change(&w, &at(&[("a", "?"), ("b", "2")]), &at(&[("a", "?"), ("b", "2")])));
        assert!(!no_change(&[], &Readings::new(), &Readings::new()));
    }

    #[test]
    fn the_row_s_fingerprint_needs_every_set() {
        assert_eq!(combined(&at(&[("a", "1")])).as_deref(), Some("1"));
        assert_eq!(combined(&at(&[("a", "1"), ("b", "?")])), None);
        assert_eq!(combined(&at(&[("a", "1"), ("b", "2")])).unwrap().len(), 64);
        assert_eq!(combined(&Readings::new()), None);
    }

    /// A far end that is written until `over`.
    #[derive(Default)]
    struct Written {
        over: std::sync::atomic::AtomicBool,
    }

    impl ContentProbe for Written {
        fn read(&self, _set: &str) -> Pin<Box<dyn Future<Output = Reading> + Send + '_>> {
            Box::pin(async { Reading::default() })
        }

        fn busy<'a>(&'a self, sets: &'a [String], _trees: &'a [String]) -> Pin<Box<dyn Future<Output = Option<Reason>> + Send + 'a>> {
            let writes = !self.over.load(std::sync::atomic::Ordering::SeqCst);
            Box::pin(async move { writes.then(|| Reason::Content { sets: sets.to_vec(), after: false }) })
        }
    }

    #[tokio::test]
    async fn a_reading_that_waits_is_woken_when_our_own_work_there_ends() {
        let (probe, ended, sets) = (Written::default(), Notify::new(), names(&["a"]));
        let busy = Busy::default();
        let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
        // Nothing but the word would end this within the life of a test.
        let calm = calm(&probe, &sets, std::sync::Arc::downgrade(&busy), (&ended, Duration::from_secs(86_400)), || {
            told.send(()).unwrap_or_default()
        });
        let work = async {
            heard.recv().await;
            assert!(busy.lock().unwrap().is_some(), "why it waits is known meanwhile");
            probe.over.store(true, std::sync::atomic::Ordering::SeqCst);
            ended.notify_waiters();
        };
        assert!(tokio::join!(calm, work).0);
        assert_eq!(*busy.lock().unwrap(), None);
    }
}
