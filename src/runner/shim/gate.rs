//! The gate: the command is forked and held, the evidence that it may have run becomes durable, and only then it is let through.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::base::clock::{Clock, ShiftedClock};
use crate::base::mask::Masker;
use crate::base::sys::{self, Held, HeldChild};
use crate::base::{crash, proc};
use crate::domain::attempt::{Containment, EndedBy, FORMAT, ProcessId, Spec, Started, file};

use super::kept::Kept;
use super::prepare::{Prepared, SecretsDir};
use super::refused::{NotRun, refuse};
use super::supervise::stamp;
use super::{contain, evidence};

/// A command that was let through, and what was laid out for it.
pub struct Running {
    pub masker: Masker,
    pub secrets_dir: SecretsDir,
    pub child: HeldChild,
    pub cgroup: Option<OwnCgroup>,
    /// Reading end of its output; does not block.
    pub output: OwnedFd,
    pub started: Started,
    /// When the gate opened, boot µs.
    pub started_us: u64,
}

/// Forks the command of the attempt in `dir` and lets it through. Where it is not let through, it never ran.
pub fn open(
    dir: &Path,
    spec: &Spec,
    prepared: Prepared,
    null: BorrowedFd<'_>,
    kept: &mut Kept,
    clock: &ShiftedClock,
) -> Result<Running, NotRun> {
    let Prepared { masker, secrets_dir, mut ready } = prepared;
    let pipes = Pipes::new().map_err(refuse("cannot make pipes"))?;
    let cgroup = OwnCgroup::make(spec, &mut kept.cgroups);
    let cgroup_dir = cgroup.as_ref().and_then(|c| std::fs::File::open(&c.dir).ok());
    let Pipes { output: (output, output_end), gate: (gate_end, gate), failure } = pipes;
    let held = Held {
        path: std::mem::take(&mut ready.path),
        argv: std::mem::take(&mut ready.argv),
        env: std::mem::take(&mut ready.env),
        cwd: std::mem::take(&mut ready.cwd),
        stdin: null,
        output: output_end.as_fd(),
        gate: gate_end.as_fd(),
        failure,
        cgroup: cgroup_dir.as_ref().map(|d| d.as_fd()),
    };
    let child = sys::fork_held(held).map_err(refuse("cannot fork"))?;
    drop((cgroup_dir, output_end, gate_end));
    // Before the gate, so that no process of the step was ever outside.
    let cgroup = cgroup.filter(|c| child.inside || contain::enter(&c.dir, child.pid).is_ok());
    crash::point("shim.forked");

    let shim = *kept.identity.get_or_insert_with(|| identity(rustix::process::getpid().as_raw_nonzero().get()));
    let started = evidence_of(spec, shim, child.pid, cgroup.as_ref(), clock);
    // A crash before this line proves that the command never ran: the child leaves when its gate closes. After it, that it may have.
    if !cfg!(feature = "broken-no-fsync")
        && let Err(e) = evidence::write_started(dir, &started)
    {
        // Evidence that cannot be taken back would turn "never" into "perhaps": then the verdict says so.
        return Err(match withdraw(dir, child.pid, gate) {
            Ok(()) => refuse("cannot write started.json")(e).into(),
            Err(_) => NotRun::Verdict(EndedBy::Setup, format!("cannot write started.json: {e}")),
        });
    }
    crash::point("shim.started");
    let started_us = clock.boot_us();
    let _ = rustix::io::write(&gate, b"g");
    drop(gate);
    crash::point("shim.gate");
    Ok(Running { masker, secrets_dir, child, cgroup, output, started, started_us })
}

fn evidence_of(spec: &Spec, shim: ProcessId, leader: i32, cgroup: Option<&OwnCgroup>, clock: &ShiftedClock) -> Started {
    let now = stamp(clock);
    Started {
        format: FORMAT,
        fence: spec.fence,
        boot_id: clock.boot_id(),
        shim,
        child: identity(leader),
        pgid: leader,
        cgroup: cgroup.map(|c| c.dir.to_string_lossy().into_owned()),
        containment: cgroup.map_or(Containment::Subreaper, |c| c.containment),
        shim_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_us: now.boot_us,
        wall_us: now.wall_us,
    }
}

/// Takes back a half-written start: the child at the gate leaves, and the evidence goes. An error: it may still be there.
fn withdraw(dir: &Path, leader: i32, gate: OwnedFd) -> io::Result<()> {
    drop(gate);
    let patience = Instant::now();
    while sys::reap(leader)?.is_none() {
        if patience.elapsed() > Duration::from_secs(5) {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    for name in [file::STARTED, "started.json.tmp"] {
        match std::fs::remove_file(dir.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

fn identity(pid: i32) -> ProcessId {
    ProcessId { pid, start_time: proc::stat(pid).map_or(0, |s| s.start_time) }
}

/// Output, gate and failure, all closed on exec; the ends that the shim reads do not block.
struct Pipes {
    output: (OwnedFd, OwnedFd),
    gate: (OwnedFd, OwnedFd),
    failure: (OwnedFd, OwnedFd),
}

impl Pipes {
    fn new() -> io::Result<Self> {
        let pipes =
            Self { output: pipe_with(PipeFlags::CLOEXEC)?, gate: pipe_with(PipeFlags::CLOEXEC)?, failure: pipe_with(PipeFlags::CLOEXEC)? };
        for end in [&pipes.output.0, &pipes.failure.0] {
            rustix::fs::fcntl_setfl(end, rustix::fs::OFlags::NONBLOCK)?;
        }
        // Fewer turns for a step that writes much. The kernel may refuse: then it is as large as it is.
        let _ = rustix::pipe::fcntl_setpipe_size(&pipes.output.0, 256 << 10);
        Ok(pipes)
    }
}

/// The attempt's own cgroup; removed with the value, unless somebody still lives there.
pub struct OwnCgroup {
    pub dir: PathBuf,
    containment: Containment,
}

impl OwnCgroup {
    fn make(spec: &Spec, known: &mut Option<(PathBuf, Containment)>) -> Option<Self> {
        let name = contain::cgroup_name(&spec.attempt, spec.fence);
        let make = |(parent, containment): &(PathBuf, Containment), proved| {
            Some(Self { dir: contain::make(parent, &name, proved).ok()?, containment: *containment })
        };
        // What worked last time; where somebody has moved this process or taken the directory away, it is looked for again.
        if let Some(made) = known.as_ref().and_then(|k| make(k, true)) {
            return Some(made);
        }
        let probes = contain::probe_cgroup(&rustix::system::uname().release().to_string_lossy());
        let containment = contain::choose(&probes);
        *known = probes.cgroup2.filter(|_| containment != Containment::Subreaper).map(|parent| (parent, containment));
        let made = known.as_ref().and_then(|k| make(k, false));
        if made.is_none() {
            *known = None;
        }
        made
    }
}

impl Drop for OwnCgroup {
    fn drop(&mut self) {
        contain::remove(&self.dir);
    }
}
