//! The order of events in a shim: lock, evidence, gate, loop, drain, sweep, verdict. The order is the whole point; each step says why.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::base::clock::{Clock, ShiftedClock};
use crate::base::mask::Masker;
use crate::base::sys::{self, Held};
use crate::base::{crash, proc};
use crate::domain::attempt::{Containment, EndedBy, FORMAT, ProcessId, Spec, Started, file};

use super::evidence::{self, StatusFile};
use super::logfile::LogFile;
use super::supervise::{Output, Supervisor, stamp};
use super::sweep::Sweep;
use super::{child, contain, scrub, secrets, status, supervise};

/// The command did not run, and nothing says that it did: the engine may start again.
pub struct Refused {
    pub why: String,
    /// The disk is full, in bytes or in inodes.
    pub no_room: bool,
}

impl Refused {
    fn because(why: impl Into<String>) -> Self {
        Self { why: why.into(), no_room: false }
    }
}

fn refuse<'a>(what: &'a str) -> impl FnOnce(io::Error) -> Refused + 'a {
    move |e| Refused { why: format!("{what}: {e}"), no_room: matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) }
}

/// What a process finds out and makes once, however many attempts it serves.
#[derive(Default)]
pub struct Kept {
    /// What its signals come by, from the first attempt on.
    pub signals: Option<OwnedFd>,
    /// `/dev/null`, which its standard input and output lead to from the first attempt on.
    null: Option<std::fs::File>,
    timer: Option<OwnedFd>,
    /// Where attempts' cgroups are made, and what they are then held by.
    cgroups: Option<(PathBuf, Containment)>,
    /// This process.
    identity: Option<ProcessId>,
    /// For output on its way.
    buffer: Vec<u8>,
}

/// A log up to this size leaves the process as small as it was.
const SMALL_LOG: u64 = 1 << 20;

/// Supervises the attempt in `dir` to its end. `Ok` once `status.json` is durable: whether nothing of the attempt is left, neither in this
/// process nor behind it.
pub fn run(dir: &Path, kept: &mut Kept) -> Result<bool, Refused> {
    crash::point("shim.begin");
    let first = kept.null.is_none();
    if first {
        // Fails for a group leader, as when tried by hand from a shell: no reason to stop.
        let _ = rustix::process::setsid();
        let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
        // Values of secrets are in this memory: no core, no ptrace by others of the same user.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }

    let Some(_lock) = evidence::lock(dir).map_err(refuse("cannot lock the attempt"))? else {
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
    let clock = ShiftedClock::by(spec.clock_shift_us);
    let signals = match kept.signals.take() {
        Some(known) => known,
        None => sys::signal_fd(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP]).map_err(refuse("cannot watch signals"))?,
    };
    // From here on there is room for the verdict, whatever the step does to the disk.
    let status_file = StatusFile::reserve(dir).map_err(refuse("no room for the verdict"))?;
    let log = LogFile::create(dir, spec.log.max_bytes).map_err(refuse("cannot make the log"))?;
    crash::point("shim.reserved");

    let values = receive_secrets(&spec).map_err(refuse("the secrets did not arrive"))?;
    let null = match kept.null.take() {
        Some(known) => known,
        None => std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").map_err(refuse("cannot open /dev/null"))?,
    };
    for place in (0..=2).filter(|_| first) {
        sys::replace_stdio(null.as_fd(), place).map_err(refuse("cannot leave the terminal"))?;
    }
    let timer = match kept.timer.take() {
        Some(known) => known,
        None => supervise::timer().map_err(refuse("cannot make a timer"))?,
    };
    crash::point("shim.secrets");
    let masker = match Masker::new(values.iter().map(|s| (s.name.as_str(), s.value.as_slice()))) {
        Ok(m) => m,
        Err(e) => return not_run(&spec, &status_file, log, EndedBy::Setup, e.to_string(), &clock),
    };
    if let Some(wish) = evidence::read_cancel(dir) {
        return not_run(&spec, &status_file, log, EndedBy::Cancel, format!("cancelled by {} before it began", wish.who), &clock);
    }
    let places = secrets::places(std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from), rustix::process::getuid().as_raw());
    let secrets_dir = match secrets::lay_out(&places, &secrets::directory_name(&spec.token), &values) {
        Ok(d) => SecretsDir(d),
        // Without secrets there is nothing to protect, but the variable must lead somewhere.
        Err(_) if values.is_empty() => {
            std::fs::create_dir(dir.join("secrets")).map_err(refuse("cannot make a directory"))?;
            SecretsDir(dir.join("secrets"))
        }
        Err(e) => return not_run(&spec, &status_file, log, EndedBy::Setup, format!("no place in memory for the secrets: {e}"), &clock),
    };
    let mut ready = match child::prepare(dir, &spec, &secrets_dir.0, &values) {
        Ok(r) => r,
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => {
            return not_run(&spec, &status_file, log, EndedBy::Setup, e.to_string(), &clock);
        }
        // The machine's fault, such as a full disk: no verdict on the step.
        Err(e) => return Err(refuse("cannot write the script")(e)),
    };
    drop(values);
    touch(&spec.report);
    crash::point("shim.prepared");

    let pipes = Pipes::new().map_err(refuse("cannot make pipes"))?;
    let cgroup = OwnCgroup::make(&spec, &mut kept.cgroups);
    let cgroup_dir = cgroup.as_ref().and_then(|c| std::fs::File::open(&c.dir).ok());
    let Pipes { output: (output, output_end), gate: (gate_end, gate), failure } = pipes;
    let held = Held {
        path: std::mem::take(&mut ready.path),
        argv: std::mem::take(&mut ready.argv),
        env: std::mem::take(&mut ready.env),
        cwd: std::mem::take(&mut ready.cwd),
        stdin: null.as_fd(),
        output: output_end.as_fd(),
        gate: gate_end.as_fd(),
        failure,
        cgroup: cgroup_dir.as_ref().map(|d| d.as_fd()),
    };
    let child = sys::fork_held(held).map_err(refuse("cannot fork"))?;
    drop((cgroup_dir, output_end, gate_end));
    let leader = child.pid;
    // Before the gate, so that no process of the step was ever outside.
    let cgroup = cgroup.filter(|c| child.inside || contain::enter(&c.dir, leader).is_ok());
    crash::point("shim.forked");

    let now = stamp(&clock);
    let started = Started {
        format: FORMAT,
        fence: spec.fence,
        boot_id: clock.boot_id(),
        shim: *kept.identity.get_or_insert_with(|| identity(rustix::process::getpid().as_raw_nonzero().get())),
        child: identity(leader),
        pgid: leader,
        cgroup: cgroup.as_ref().map(|c| c.dir.to_string_lossy().into_owned()),
        containment: cgroup.as_ref().map_or(Containment::Subreaper, |c| c.containment),
        shim_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_us: now.boot_us,
        wall_us: now.wall_us,
    };
    // A crash before this line proves that the command never ran: the child leaves when its gate closes. After it, that it may have.
    if !cfg!(feature = "broken-no-fsync")
        && let Err(e) = evidence::write_started(dir, &started)
    {
        let withdrawn = withdraw(dir, leader, gate);
        drop(cgroup);
        // Evidence that cannot be taken back would turn "never" into "perhaps": then the verdict says so.
        return match withdrawn {
            Ok(()) => Err(refuse("cannot write started.json")(e)),
            Err(_) => not_run(&spec, &status_file, log, EndedBy::Setup, format!("cannot write started.json: {e}"), &clock),
        };
    }
    crash::point("shim.started");
    let started_us = clock.boot_us();
    let _ = rustix::io::write(&gate, b"g");
    drop(gate);
    crash::point("shim.gate");

    let mut supervisor = Supervisor {
        spec: &spec,
        dir,
        leader,
        cgroup: cgroup.as_ref().map(|c| c.dir.as_path()),
        pipe: Some(output),
        child,
        signals: &signals,
        timer: &timer,
        clock: &clock,
        output: Output::new(log, masker),
        buffer: std::mem::take(&mut kept.buffer),
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
        cgroup: cgroup.as_ref().map(|c| c.dir.as_path()),
        token: &spec.token,
        daemon_allowed: spec.daemon_allowed && end.why.is_none() && end.setup.is_none(),
        thorough: end.why.is_some() || end.unkillable,
        signals: signals.as_fd(),
        clock: &clock,
    }
    .run();
    crash::point("shim.swept");
    supervisor.drain_rest();
    kept.buffer = std::mem::take(&mut supervisor.buffer);
    let totals = supervisor.output.finish(stamp(&clock));
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
    let verdict = status::of(&spec, status::Facts { started_us, end, swept, oom, totals }, &masker, &clock);
    status::write(&status_file, &verdict).map_err(refuse("cannot write status.json"))?;
    crash::point("shim.done");
    (kept.signals, kept.null, kept.timer) = (Some(signals), Some(null), Some(timer));
    Ok(clean)
}

/// The verdict of a command that was not run, without a start.
fn not_run(spec: &Spec, file: &StatusFile, mut log: LogFile, by: EndedBy, detail: String, clock: &dyn Clock) -> Result<bool, Refused> {
    let totals = log.finish(stamp(clock));
    status::write(file, &status::not_run(spec, by, detail, totals, clock)).map_err(refuse("cannot write status.json"))?;
    Ok(false)
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

/// The report exists before the step does: writing to it needs no new inode then.
fn touch(report: &str) {
    if !report.is_empty() {
        use std::os::unix::fs::OpenOptionsExt;
        let _ = std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(report);
    }
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
struct OwnCgroup {
    dir: PathBuf,
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

/// The secrets of the step, gone with the value.
struct SecretsDir(PathBuf);

impl Drop for SecretsDir {
    fn drop(&mut self) {
        secrets::remove(&self.0);
    }
}

/// Standard input, but only for as long as the engine may take.
struct Patient {
    until: Instant,
}

impl Read for Patient {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let left = self.until.saturating_duration_since(Instant::now());
        let stdin = io::stdin();
        let wait = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut fds = [PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN)];
        if poll(&mut fds, Some(&wait))? == 0 {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        // Not through the standard library's buffer, which would keep a copy of the values.
        Ok(rustix::io::read(stdin.as_fd(), buf)?)
    }
}

fn receive_secrets(spec: &Spec) -> io::Result<Vec<secrets::Secret>> {
    if spec.secrets.is_empty() {
        return Ok(Vec::new());
    }
    secrets::receive(&mut Patient { until: Instant::now() + secrets::DEADLINE }, &spec.secrets)
}
