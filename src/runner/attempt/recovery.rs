//! The recovery matrix: from the evidence in an attempt directory to what must be done. Pure, and the only place that decides.

use jiff::Timestamp;

use crate::domain::attempt::{Started, Status};

/// One file of the attempt directory as it was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Found<T> {
    Absent,
    Whole(T),
    /// It is there but cannot be understood; the text says why. Files are written whole, so the disk or a person did this.
    Damaged(String),
}

impl<T> Found<T> {
    pub fn whole(&self) -> Option<&T> {
        match self {
            Self::Whole(v) => Some(v),
            Self::Absent | Self::Damaged(_) => None,
        }
    }
}

/// What the directory and the kernel say, read in the order lock, `started.json`, `status.json`: whoever freed the lock has written
/// everything before.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// A living shim holds the lock.
    pub lock_held: bool,
    pub started: Found<Started>,
    pub status: Found<Status>,
    /// The boot that we are in; compared with the one in `started.json`.
    pub boot_id: String,
    /// When this boot began.
    pub booted_at: Timestamp,
}

/// What to do about an attempt.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// The verdict is written: take it in.
    Ingest(Box<Status>),
    /// The shim lives: watch it.
    Adopt,
    /// The command never ran. Call [`super::retire`], and start again under a new fence only if it agrees.
    NeverStarted,
    /// The command may have run, and nobody can know how it ended. Call [`super::survivors::stop_survivors`] first where `survivors_possible`.
    Lost { why: String, survivors_possible: bool },
}

/// Decides. `status.json` always wins; a held lock comes next; `started.json` tells "never" from "perhaps".
pub fn decide(evidence: &Evidence) -> Decision {
    if let Found::Whole(status) = &evidence.status {
        return Decision::Ingest(Box::new(status.clone()));
    }
    if evidence.lock_held {
        return Decision::Adopt;
    }
    let other_boot = |s: &Started| !s.boot_id.is_empty() && !evidence.boot_id.is_empty() && s.boot_id != evidence.boot_id;
    match (&evidence.status, &evidence.started) {
        (Found::Damaged(why), started) => Decision::Lost {
            why: format!("the step ended, but its status.json cannot be read: {why}"),
            survivors_possible: !started.whole().is_some_and(other_boot),
        },
        (_, Found::Absent) => Decision::NeverStarted,
        (_, Found::Damaged(why)) => Decision::Lost {
            why: format!("supervisor gone, and started.json cannot be read, so the command may have run: {why}"),
            survivors_possible: true,
        },
        (_, Found::Whole(s)) if other_boot(s) => Decision::Lost {
            why: format!("host rebooted at {}", evidence.booted_at.strftime("%Y-%m-%d %H:%M:%SZ")),
            survivors_possible: false,
        },
        (_, Found::Whole(_)) => Decision::Lost { why: "supervisor killed".to_owned(), survivors_possible: true },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::attempt::{Containment, ProcessId};

    fn started(boot: &str) -> Started {
        let process = ProcessId { pid: 7, start_time: 1 };
        Started {
            format: 1,
            fence: 3,
            boot_id: boot.into(),
            shim: process,
            child: process,
            pgid: 7,
            cgroup: None,
            containment: Containment::Subreaper,
            shim_version: "0".into(),
            boot_us: 1,
            wall_us: 1,
        }
    }

    fn status() -> Status {
        serde_json::from_value(serde_json::json!({
            "format": 1, "fence": 3, "code": 7, "boot_us_started": 1, "boot_us_ended": 2, "wall_us_ended": 2, "user_cpu_us": 0,
            "system_cpu_us": 0, "max_rss_kib": 0, "log_bytes": 0, "log_dropped_bytes": 0, "log_sha256": ""
        }))
        .unwrap()
    }

    /// Every row of the matrix, and every combination that it leaves to "any".
    #[test]
    fn the_matrix_has_one_answer_for_every_evidence() {
        let statuses = [Found::Absent, Found::Whole(status()), Found::Damaged("x".into())];
        let starts = [Found::Absent, Found::Whole(started("here")), Found::Whole(started("before")), Found::Damaged("y".into())];
        for (i, s) in statuses.iter().enumerate() {
            for lock_held in [true, false] {
                for (j, st) in starts.iter().enumerate() {
                    let evidence = Evidence {
                        lock_held,
                        started: st.clone(),
                        status: s.clone(),
                        boot_id: "here".into(),
                        booted_at: Timestamp::UNIX_EPOCH,
                    };
                    let label = format!("status {i}, lock {lock_held}, started {j}");
                    let lost = |why: &str, survivors: bool| match decide(&evidence) {
                        Decision::Lost { why: w, survivors_possible } => {
                            assert!(w.contains(why), "{label}: {w}");
                            assert_eq!(survivors_possible, survivors, "{label}");
                        }
                        other => panic!("{label}: {other:?}"),
                    };
                    match (i, lock_held, j) {
                        (1, _, _) => assert_eq!(decide(&evidence), Decision::Ingest(Box::new(status())), "{label}"),
                        (_, true, _) => assert_eq!(decide(&evidence), Decision::Adopt, "{label}"),
                        (2, false, 2) => lost("status.json cannot be read", false),
                        (2, false, _) => lost("status.json cannot be read", true),
                        (_, false, 0) => assert_eq!(decide(&evidence), Decision::NeverStarted, "{label}"),
                        (_, false, 1) => lost("supervisor killed", true),
                        (_, false, 2) => lost("host rebooted at 1970-01-01 00:00:00Z", false),
                        (_, false, _) => lost("may have run", true),
                    }
                }
            }
        }
    }

    #[test]
    fn an_unreadable_boot_id_is_not_taken_for_a_reboot() {
        for (then, now) in [("", "here"), ("here", "")] {
            let evidence = Evidence {
                lock_held: false,
                started: Found::Whole(started(then)),
                status: Found::Absent,
                boot_id: now.into(),
                booted_at: Timestamp::UNIX_EPOCH,
            };
            assert!(matches!(decide(&evidence), Decision::Lost { survivors_possible: true, .. }));
        }
    }
}
