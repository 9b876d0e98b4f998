//! The order of events in a shim: lock, evidence, gate, loop, drain, sweep, verdict. The order is the whole point; each step says why.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use crate::base::clock::ShiftedClock;
use crate::base::crash;
use crate::domain::attempt::{EndedBy, FORMAT, Spec, Status, file};

use super::evidence::{self, StatusFile};
use super::gate::{self, Running};
use super::kept::{Kept, Tools};
use super::logfile::LogFile;
use super::refused::{NotRun, Refused, refuse};
use super::supervise::{self, Output, Supervisor, stamp};
use super::sweep::Sweep;
use super::{contain, prepare, scrub, status};

/// A log up to this size leaves the process as small as it was.
const SMALL_LOG: u64 = 1 << 20;

/// Supervises the attempt in `dir` to its end. `Ok` once `status.json` is durable: whether nothing of the attempt is left, neither in this
/// process nor behind it.
pub fn run(dir: &Path, kept: &mut Kept) -> Result<bool, Refused> {
    crash::point("shim.begin");
    kept.become_supervisor();
    let (_lock, spec) = admit(dir)?;
    let clock = ShiftedClock::by(spec.clock_shift_us);
    let mut tools = kept.take_tools()?;
    // From here on there is room for the verdict, whatever the step does to the disk.
    let status_file = StatusFile::reserve(dir).map_err(refuse("no room for the verdict"))?;
    let mut log = LogFile::create(dir, spec.log.max_bytes).map_err(refuse("cannot make the log"))?;
    crash::point("shim.reserved");

    let values = prepare::receive_secrets(&spec).map_err(refuse("the secrets did not arrive"))?;
    tools.leave_terminal().map_err(refuse("cannot leave the terminal"))?;
    crash::point("shim.secrets");
    let begun =
        prepare::prepare(dir, &spec, values).and_then(|prepared| gate::open(dir, &spec, prepared, tools.null.as_fd(), kept, &clock));
    let running = match begun {
        Ok(running) => running,
        Err(NotRun::Refused(refused)) => return Err(refused),
        Err(NotRun::Verdict(by, detail)) => {
            let totals = log.finish(stamp(&clock));
            let verdict = status::not_run(&spec, by, detail, totals, &clock);
            status::write(&status_file, &verdict).map_err(refuse("cannot write status.json"))?;
            return Ok(false);
        }
    };
    let ended = watch(dir, &spec, running, log, &tools, &mut kept.buffer, &clock);
    status::write(&status_file, &ended.verdict).map_err(refuse("cannot write status.json"))?;
    crash::point("shim.done");
    kept.tools = Some(tools);
    Ok(ended.clean)
}

/// Takes the attempt's lock, held for as long as the file, and reads what is to be done.
fn admit(dir: &Path) -> Result<(File, Spec), Refused> {
    let Some(lock) = evidence::lock(dir).map_err(refuse("cannot lock the attempt"))? else {
        return Err(Refused::because("another supervisor holds the lock of this attempt"));
    };
    crash::point("shim.locked");
    // The fence is read again under the lock: an engine that gave this attempt up, or an earlier shim, has left its mark here.
    if evidence::is_used(dir).map_err(refuse("cannot look at the attempt"))? {
        return Err(Refused::because("this attempt was started or retired before"));
    }
    let spec: Spec = std::fs::read(dir.join(file::SPEC))
        .and_then(|b| serde_json::from_slice(&b).map_err(io::Error::from))
        .map_err(refuse("cannot read spec.json"))?;
    if spec.format > FORMAT {
        return Err(Refused::because(format!("spec.json has format {}, this version reads up to {FORMAT}", spec.format)));
    }
    Ok((lock, spec))
}

/// The end of a command that was let through.
struct Ended {
    verdict: Status,
    /// Nothing of it is left, neither in this process nor behind it.
    clean: bool,
}

/// Watches the command to its end, sweeps behind it, and comes to the verdict. On return its cgroup and its secrets are gone.
fn watch(dir: &Path, spec: &Spec, running: Running, log: LogFile, tools: &Tools, buffer: &mut Vec<u8>, clock: &ShiftedClock) -> Ended {
    let Running { masker, secrets_dir, child, cgroup, output: pipe, started, started_us } = running;
    let (leader, cgroup_dir) = (child.pid, cgroup.as_ref().map(|c| c.dir.as_path()));
    let mut supervisor = Supervisor {
        spec,
        dir,
        leader,
        cgroup: cgroup_dir,
        pipe: Some(pipe),
        child,
        signals: &tools.signals,
        timer: &tools.timer,
        clock,
        output: Output::new(log, masker),
        buffer: std::mem::take(buffer),
        started_us,
    };
    // The loop only fails when the kernel refuses to poll; the sweep below then ends the step, and the verdict names the reason.
    let mut end = supervisor.run().unwrap_or_else(|e| supervise::End {
        why: Some(EndedBy::Setup),
        detail: format!("the supervisor could not go on: {e}"),
        setup: None,
        unkillable: true,
    });
    crash::point("shim.drained");
    if cfg!(feature = "broken-no-fsync") {
        // The deliberately broken build: the evidence appears when the command has long been running.
        let _ = evidence::write_started(dir, &started);
    }
    let swept = Sweep {
        leader,
        cgroup: cgroup_dir,
        token: &spec.token,
        daemon_allowed: spec.daemon_allowed && end.why.is_none() && end.setup.is_none(),
        thorough: end.why.is_some() || end.unkillable,
        signals: tools.signals.as_fd(),
        clock,
    }
    .run();
    crash::point("shim.swept");
    supervisor.drain_rest();
    *buffer = std::mem::take(&mut supervisor.buffer);
    let totals = supervisor.output.finish(stamp(clock));
    let masker = supervisor.output.masker;
    let oom = cgroup.as_ref().is_some_and(|c| contain::saw_oom_kill(&c.dir));
    drop(cgroup);
    drop(secrets_dir);
    if !masker.is_empty() {
        for path in [&spec.report, &spec.journal] {
            scrub::file(Path::new(path), &masker);
        }
        end.detail = masker.text(&end.detail);
    }
    crash::point("shim.scrubbed");
    let undisturbed = end.why.is_none() && end.setup.is_none() && !end.unkillable && swept.leader.is_some() && swept.left.is_empty();
    let small = totals.kept.saturating_add(totals.dropped) <= SMALL_LOG;
    let clean = undisturbed && small && spec.secrets.is_empty() && !spec.daemon_allowed;
    Ended { verdict: status::of(spec, status::Facts { started_us, end, swept, oom, totals }, &masker, clock), clean }
}
