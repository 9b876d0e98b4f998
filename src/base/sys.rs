//! The only unsafe code: system calls that no safe crate wraps. Every function here is small enough to be audited alone.
//!
//! Settings of the allocator, open file description locks, `signalfd`, `wait4` with resource usage, closing inherited descriptors, the fork of a
//! held child, and the stop of a job.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use zeroize::Zeroize;

fn check(ret: libc::c_int) -> io::Result<libc::c_int> {
    if ret < 0 { Err(io::Error::last_os_error()) } else { Ok(ret) }
}

fn whole_file(kind: libc::c_int) -> libc::flock {
    // SAFETY: `flock` is plain integers; all zero is a valid value (offset 0, length 0 = to the end, pid 0 as OFD locks demand).
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock
}

/// Large blocks go back to the kernel when they are freed, and all threads share so many arenas: who answers one big question is as
/// small afterwards as before. Does nothing where the C library is not glibc.
pub fn return_freed_memory(arenas: i32) {
    #[cfg(target_env = "gnu")]
    // SAFETY: two integers, and no other thread of ours exists yet; a value that is not taken changes nothing.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 128 << 10);
        libc::mallopt(libc::M_ARENA_MAX, arenas);
    }
}

/// Takes the exclusive lock of the open file description; `false` where somebody else holds one. Freed by the kernel with the last
/// descriptor, however the process ends.
pub fn try_lock_exclusive(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut lock = whole_file(libc::F_WRLCK);
    // SAFETY: the descriptor is open for the length of the call, and `lock` outlives it.
    match check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &mut lock) }) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Frees the lock now. Closing would too, but not while another thread's child, between fork and exec, still has a copy of the descriptor.
pub fn unlock(fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut lock = whole_file(libc::F_UNLCK);
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &mut lock) }).map(drop)
}

/// Waits until nobody holds the exclusive lock, by taking a shared one. Blocks the calling thread.
pub fn wait_lock_shared(fd: BorrowedFd<'_>) -> io::Result<()> {
    loop {
        let mut lock = whole_file(libc::F_RDLCK);
        // SAFETY: as above.
        match check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLKW, &mut lock) }) {
            Ok(_) => return Ok(()),
            Err(e) if e.raw_os_error() == Some(libc::EINTR) => {}
            Err(e) => return Err(e),
        }
    }
}

/// Whether somebody holds the lock, without touching it: an observer must never be the reason that a shim cannot start.
pub fn lock_is_held(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let mut lock = whole_file(libc::F_WRLCK);
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) })?;
    Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
}

/// Blocks the signals for this thread and returns a descriptor that delivers them instead.
pub fn signal_fd(signals: &[i32]) -> io::Result<OwnedFd> {
    // SAFETY: an all-zero `sigset_t` is only handed to `sigemptyset`, which initialises it.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `set` is valid for the calls; signalfd returns a fresh descriptor that we own.
    unsafe {
        check(libc::sigemptyset(&mut set))?;
        for s in signals {
            check(libc::sigaddset(&mut set, *s))?;
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()))?;
        let fd = check(libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Signal numbers waiting in a descriptor of [`signal_fd`].
pub fn read_signals(fd: BorrowedFd<'_>) -> io::Result<Vec<i32>> {
    const SIZE: usize = std::mem::size_of::<libc::signalfd_siginfo>();
    let (mut seen, mut buf) = (Vec::new(), [0u8; SIZE * 8]);
    loop {
        match rustix::io::read(fd, &mut buf) {
            // The signal number is the first field of each fixed-size record.
            Ok(n) if n >= SIZE => seen.extend(buf[..n].chunks_exact(SIZE).map(|r| i32::from_ne_bytes([r[0], r[1], r[2], r[3]]))),
            Ok(_) => return Ok(seen),
            Err(rustix::io::Errno::AGAIN) => return Ok(seen),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// How a child ended, and what it and the children it waited for used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reaped {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub core: bool,
    pub user_us: u64,
    pub system_us: u64,
    pub max_rss_kib: u64,
}

/// Reaps exactly this child, without waiting; `None` while it lives. Never called with -1: a shim's children are known by pid.
pub fn reap(pid: i32) -> io::Result<Option<Reaped>> {
    if pid <= 0 {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut status = 0;
    // SAFETY: an all-zero `rusage` is plain integers; both out-pointers are valid for the call.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let ret = check(unsafe { libc::wait4(pid, &mut status, libc::WNOHANG, &mut usage) })?;
    if ret == 0 {
        return Ok(None);
    }
    let us = |t: libc::timeval| (t.tv_sec as u64).saturating_mul(1_000_000).saturating_add(t.tv_usec as u64);
    let signalled = libc::WIFSIGNALED(status);
    Ok(Some(Reaped {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        signal: signalled.then(|| libc::WTERMSIG(status)),
        core: signalled && libc::WCOREDUMP(status),
        user_us: us(usage.ru_utime),
        system_us: us(usage.ru_stime),
        max_rss_kib: usage.ru_maxrss.max(0) as u64,
    }))
}

/// Closes every descriptor from `first` on. Only for a process that owns none of them, such as a shim at its first instruction.
pub fn close_from(first: RawFd) {
    // SAFETY: closing descriptors that nothing in this process refers to; the caller vouches for it. A failing call changes nothing.
    unsafe {
        // By number: the C library of the oldest supported system has no wrapper, and its kernel may lack the call.
        if libc::syscall(libc::SYS_close_range, first as libc::c_uint, libc::c_uint::MAX, 0) == 0 {
            return;
        }
        let mut limit: libc::rlimit = std::mem::zeroed();
        let top = if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 { limit.rlim_cur.min(65_536) as RawFd } else { 1_024 };
        for fd in first..top {
            libc::close(fd);
        }
    }
}

/// Puts `fd` in the place of descriptor `place` (0, 1 or 2).
pub fn replace_stdio(fd: BorrowedFd<'_>, place: RawFd) -> io::Result<()> {
    if !(0..=2).contains(&place) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: `fd` is open; what `place` was before is closed by the kernel. Nobody owns 0, 1 and 2 as an `OwnedFd`.
    check(unsafe { libc::dup2(fd.as_raw_fd(), place) }).map(drop)
}

/// Forks a process that has one thread: 0 in the child, which goes on with a copy of everything. Refused where there are more threads, for
/// the child could find any lock of theirs held for ever.
pub fn fork_alone() -> io::Result<i32> {
    if std::fs::read_dir("/proc/self/task")?.take(2).count() != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: this is the only thread, so memory and locks of the child are whole, and nobody can start another one meanwhile.
    check(unsafe { libc::fork() })
}

/// Everything that a held child needs, prepared before it exists so that it allocates nothing.
#[derive(Debug)]
pub struct Held<'a> {
    pub path: CString,
    pub argv: Vec<CString>,
    /// Wiped when the child has no more use for it.
    pub env: Vec<CString>,
    pub cwd: CString,
    pub stdin: BorrowedFd<'a>,
    /// Standard output and error.
    pub output: BorrowedFd<'a>,
    /// The child waits for one byte here; end of file means that the shim died, and the child leaves without having run anything.
    pub gate: BorrowedFd<'a>,
    /// A pipe, read from without blocking. It receives `[stage, errno as 4 native bytes]` where the command could not be started, and is closed
    /// by a successful exec.
    pub failure: (OwnedFd, OwnedFd),
    /// A cgroup v2 directory to be born in: moving there later costs milliseconds, for the kernel waits for all processors.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// Where a held child failed, as sent through [`Held::failure`].
pub mod held_stage {
    pub const PREPARE: u8 = 1;
    pub const WORKSPACE: u8 = 2;
    pub const EXEC: u8 = 3;
}

/// Descriptors of the held child, beside its standard ones.
const GATE: RawFd = 3;
const FAILURE: RawFd = 4;
/// Bytes of the held child's stack; it makes system calls and nothing else.
const STACK: usize = 32 << 10;

/// What a held child reads of our memory, which it shares, until its exec.
struct Lent {
    path: CString,
    cwd: CString,
    argv: Vec<CString>,
    env: Vec<CString>,
    argv_at: Vec<*const libc::c_char>,
    env_at: Vec<*const libc::c_char>,
    /// Input, output, gate, failure.
    fds: [RawFd; 4],
    stack: Vec<std::mem::MaybeUninit<u8>>,
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.argv.clear();
        std::mem::take(&mut self.env).into_iter().for_each(|v| v.into_bytes().zeroize());
    }
}

/// A held child as its parent has it.
pub struct HeldChild {
    pub pid: i32,
    /// It was born in the cgroup (not on old kernels).
    pub inside: bool,
    failure: Option<OwnedFd>,
    /// Ours to free once the child has left our memory; until then, and where that is never known, it stays to the end of this process.
    lent: Option<std::ptr::NonNull<Lent>>,
}

impl HeldChild {
    /// What to wait for before [`HeldChild::read_failure`] says anything new; none once there is nothing more to come.
    pub fn failure(&self) -> Option<BorrowedFd<'_>> {
        self.failure.as_ref().map(AsFd::as_fd)
    }

    /// Why the command could not be started, where that has been said since the last question.
    pub fn read_failure(&mut self) -> Option<[u8; 5]> {
        let mut message = [0u8; 5];
        match rustix::io::read(self.failure.as_ref()?, &mut message) {
            Ok(5) => return Some(message),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Ok(0) => {
                self.failure = None;
                if let Some(lent) = self.lent.take() {
                    // SAFETY: it came from a box, and is freed once. The kernel closes the child's end after the child has left our memory, by
                    // exec or by its end, and ours was closed before.
                    drop(unsafe { Box::from_raw(lent.as_ptr()) });
                }
            }
            Ok(_) | Err(_) => self.failure = None,
        }
        None
    }
}

/// A system call that leaves the C library's `errno` alone, which a held child shares with its parent: the result, or an error number negated.
///
/// # Safety
/// As for the call itself.
unsafe fn raw(number: libc::c_long, a: usize, b: usize, c: usize, d: usize) -> isize {
    #[cfg(target_arch = "x86_64")]
    {
        let result;
        // SAFETY: the kernel's convention on this architecture; it changes the result and the two registers that are named.
        unsafe {
            std::arch::asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d,
                out("rcx") _, out("r11") _, options(nostack));
        }
        result
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        // SAFETY: there the child has a copy of the memory, and so an `errno` of its own.
        let result = unsafe { libc::syscall(number, a, b, c, d) };
        if result < 0 { -(io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO) as isize) } else { result as isize }
    }
}

/// The whole life of a held child up to its exec: system calls on what was lent to it, and nothing that could need a lock or memory.
///
/// # Safety
/// Only in a process just made by `fork_held`; `lent` must stay as it is until this process has left the memory.
unsafe extern "C" fn held_child(lent: *const Lent) -> ! {
    // SAFETY: see above. Pointers and descriptors are those of `lent`, arrays end with null; nothing of the parent's state is touched.
    unsafe {
        let lent = &*lent;
        let [stdin, output, gate, failure] = lent.fds;
        let fail = |to: RawFd, stage: u8, error: isize| -> ! {
            let e = (-error as i32).to_ne_bytes();
            let message = [stage, e[0], e[1], e[2], e[3]];
            raw(libc::SYS_write, to as usize, message.as_ptr() as usize, message.len(), 0);
            loop {
                raw(libc::SYS_exit_group, 127, 0, 0, 0);
            }
        };
        let fd = |n: RawFd| n as usize;
        let cloexec = libc::O_CLOEXEC as usize;
        // Out of the way first, then into fixed places. Everything else is closed here and not at exec: a child that still held the lock,
        // or the other end of its own gate, would look like a living shim.
        let high = |n: RawFd| raw(libc::SYS_fcntl, fd(n), libc::F_DUPFD_CLOEXEC as usize, 64, 0);
        let (gate, away) = (high(gate), high(failure));
        let steps = [
            gate,
            away,
            raw(libc::SYS_setsid, 0, 0, 0, 0),
            raw(libc::SYS_dup3, fd(stdin), 0, 0, 0),
            raw(libc::SYS_dup3, fd(output), 1, 0, 0),
            raw(libc::SYS_dup3, fd(output), 2, 0, 0),
            raw(libc::SYS_dup3, gate as usize, fd(GATE), cloexec, 0),
        ];
        for done in steps {
            if done < 0 {
                fail(if away < 0 { failure } else { away as RawFd }, held_stage::PREPARE, done);
            }
        }
        let done = raw(libc::SYS_dup3, away as usize, fd(FAILURE), cloexec, 0);
        if done < 0 {
            fail(away as RawFd, held_stage::PREPARE, done);
        }
        if raw(libc::SYS_close_range, fd(FAILURE + 1), u32::MAX as usize, 0, 0) < 0 {
            // A kernel that lacks the call. More descriptors than this no shim ever has.
            for n in FAILURE + 1..1_024 {
                raw(libc::SYS_close, fd(n), 0, 0, 0);
            }
        }
        raw(libc::SYS_umask, 0o022, 0, 0, 0);
        // One byte, not zero: where cores go to a program, the kernel ignores a limit of zero but never dumps under a limit of one.
        let core = [1u64, 1];
        raw(libc::SYS_prlimit64, 0, libc::RLIMIT_CORE as usize, core.as_ptr() as usize, 0);
        // Straight to the kernel, for the C library keeps 32 and 33 to itself, and they may come in ignored. All zero is the default action
        // in the kernel's layout of every architecture; KILL and STOP answer EINVAL, which is as good.
        let default = [0u64; 4];
        for signal in 1..=64 {
            raw(libc::SYS_rt_sigaction, signal, default.as_ptr() as usize, 0, 8);
        }
        let none = 0u64;
        raw(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK as usize, (&raw const none) as usize, 0, 8);
        let mut byte = 0u8;
        loop {
            match raw(libc::SYS_read, fd(GATE), (&raw mut byte) as usize, 1, 0) {
                1 => break,
                n if n == -(libc::EINTR as isize) => {}
                _ => loop {
                    raw(libc::SYS_exit_group, 127, 0, 0, 0);
                },
            }
        }
        // After the gate: a hanging network mount must not hold up the evidence.
        let entered = raw(libc::SYS_chdir, lent.cwd.as_ptr() as usize, 0, 0, 0);
        if entered < 0 {
            fail(FAILURE, held_stage::WORKSPACE, entered);
        }
        let refused = raw(libc::SYS_execve, lent.path.as_ptr() as usize, lent.argv_at.as_ptr() as usize, lent.env_at.as_ptr() as usize, 0);
        fail(FAILURE, held_stage::EXEC, refused)
    }
}

/// `struct clone_args` of `clone3`: flags first, the signal of the child's end fifth, stack and its size sixth and seventh, the cgroup eleventh.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Makes a held child that shares our memory, on a stack of its own: a copy of the memory, made for a child that only waits and execs, is a fifth
/// of what a shim does. Negative where the kernel cannot or may not, or on another processor.
///
/// # Safety
/// As for [`held_child`].
unsafe fn clone_sharing(lent: *mut Lent, cgroup: Option<BorrowedFd<'_>>) -> isize {
    #[cfg(target_arch = "x86_64")]
    {
        let mut args = [0u64; 11];
        args[0] = libc::CLONE_VM as u64 | if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
        args[4] = libc::SIGCHLD as u64;
        // SAFETY: `lent` is valid, and nobody else uses it.
        let from = unsafe { (*lent).stack.as_ptr() } as u64;
        // The end of the stack is where it begins, at a multiple of 16.
        args[5] = from.next_multiple_of(16);
        args[6] = (from + STACK as u64 - args[5]) & !15;
        args[10] = cgroup.map_or(0, |c| c.as_raw_fd() as u64);
        let result;
        // SAFETY: the parent falls through with its registers as they were, but for those named. The child begins behind the call on its own
        // stack, with nothing on it, and never returns from `held_child`.
        unsafe {
            std::arch::asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, r13",
                "call r12",
                "ud2",
                "2:",
                inlateout("rax") libc::SYS_clone3 as isize => result,
                in("rdi") args.as_ptr(), in("rsi") std::mem::size_of_val(&args),
                in("r12") held_child as unsafe extern "C" fn(*const Lent) -> !, in("r13") lent,
                out("rcx") _, out("r11") _,
            );
        }
        result
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (lent, cgroup);
        -(libc::ENOSYS as isize)
    }
}

/// `fork`, but into a cgroup; negative where the kernel cannot or may not.
///
/// # Safety
/// As for `fork`, and in the child only system calls may follow, for the C library does not know of it.
unsafe fn clone_into(cgroup: BorrowedFd<'_>) -> libc::pid_t {
    let mut args = [0u64; 11];
    (args[0], args[4], args[10]) = (CLONE_INTO_CGROUP, libc::SIGCHLD as u64, cgroup.as_raw_fd() as u64);
    // SAFETY: `args` has the size that is told, and no memory is shared with the child.
    unsafe { libc::syscall(libc::SYS_clone3, args.as_ptr(), std::mem::size_of_val(&args)) as libc::pid_t }
}

/// Makes a child in its own session, with default signals, empty mask, umask 022 and no core dumps, that waits at the gate, then execs.
/// The caller must be single-threaded.
pub fn fork_held(held: Held<'_>) -> io::Result<HeldChild> {
    let pointers = |list: &[CString]| list.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
    let (failure, failure_end) = held.failure;
    let fds = [held.stdin.as_raw_fd(), held.output.as_raw_fd(), held.gate.as_raw_fd(), failure_end.as_raw_fd()];
    let lent = Box::into_raw(Box::new(Lent {
        argv_at: pointers(&held.argv),
        env_at: pointers(&held.env),
        path: held.path,
        cwd: held.cwd,
        argv: held.argv,
        env: held.env,
        fds,
        stack: Vec::with_capacity(STACK),
    }));
    // SAFETY: the shim has one thread. `lent` is neither moved nor changed, and freed only when the child has left our memory, see
    // `HeldChild`; a child that was forked has a copy of all of it. The child makes system calls alone, and leaves by exec or exit.
    let (pid, inside) = unsafe {
        let mut pid = clone_sharing(lent, held.cgroup) as libc::pid_t;
        if pid < 0 {
            pid = held.cgroup.map_or(-1, |dir| clone_into(dir));
        }
        let inside = pid > 0 && held.cgroup.is_some();
        if pid < 0 {
            pid = check(libc::fork())?;
        }
        if pid == 0 {
            held_child(lent);
        }
        (pid, inside)
    };
    Ok(HeldChild { pid, inside, failure: Some(failure), lent: std::ptr::NonNull::new(lent) })
}

/// Whether something keeps the kernel's clock right, and by how many microseconds it may be wrong. Reads, and sets nothing.
pub fn clock_is_synchronised() -> io::Result<(bool, u64)> {
    // SAFETY: `timex` is plain data for which zero is valid; with `modes` 0 the call only writes into it.
    let (state, t) = unsafe {
        let mut t: libc::timex = std::mem::zeroed();
        (libc::adjtimex(&mut t), t)
    };
    match state {
        -1 => Err(io::Error::last_os_error()),
        libc::TIME_ERROR => Ok((false, 0)),
        _ => Ok((t.status & libc::STA_UNSYNC == 0, u64::try_from(t.maxerror).unwrap_or(0))),
    }
}

/// Stops this process and its group as Ctrl-Z would, and returns once it goes on. Where nobody could let it go on (an orphaned group), the
/// kernel stops nothing.
pub fn stop_group() -> io::Result<()> {
    // SAFETY: `sigaction` is plain data for which zero is valid (default action, empty mask); what was set before is put back as it was.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        let mut default: libc::sigaction = std::mem::zeroed();
        default.sa_sigaction = libc::SIG_DFL;
        check(libc::sigaction(libc::SIGTSTP, &default, &mut before))?;
        let stopped = check(libc::kill(0, libc::SIGTSTP));
        check(libc::sigaction(libc::SIGTSTP, &before, std::ptr::null_mut()))?;
        stopped.map(drop)
    }
}

/// A descriptor that a tokio runtime watches until it can be written to.
pub fn watch_writable(fd: OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    // SAFETY: as for `watch_readable`.
    Ok(unsafe { tokio::io::unix::AsyncFd::register_with_interest(fd, tokio::io::Interest::WRITABLE) }?)
}

/// A descriptor that a tokio runtime watches until it can be read: a pidfd, an inotify queue.
pub fn watch_readable(fd: OwnedFd) -> io::Result<tokio::io::unix::AsyncFd<OwnedFd>> {
    // SAFETY: the `OwnedFd` is owned by the result and is neither replaced nor closed before it is deregistered.
    Ok(unsafe { tokio::io::unix::AsyncFd::register_with_interest(fd, tokio::io::Interest::READABLE) }?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};
    use std::path::Path;

    fn open(path: &Path) -> File {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).unwrap()
    }

    #[test]
    fn a_lock_belongs_to_the_open_file_and_can_be_seen_without_touching_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let (a, b) = (open(&path), open(&path));
        assert!(!lock_is_held(b.as_fd()).unwrap());
        assert!(try_lock_exclusive(a.as_fd()).unwrap());
        assert!(lock_is_held(b.as_fd()).unwrap());
        assert!(!try_lock_exclusive(b.as_fd()).unwrap());
        let read_only = File::open(&path).unwrap();
        assert!(lock_is_held(read_only.as_fd()).unwrap());
        drop(a);
        assert!(!lock_is_held(b.as_fd()).unwrap());
        wait_lock_shared(b.as_fd()).unwrap();
    }

    #[test]
    fn reaping_refuses_to_wait_for_anybody() {
        for pid in [-1, 0] {
            assert_eq!(reap(pid).unwrap_err().raw_os_error(), Some(libc::EINVAL));
        }
    }

    #[test]
    fn only_standard_descriptors_are_replaced() {
        assert!(replace_stdio(File::open("/dev/null").unwrap().as_fd(), 3).is_err());
    }
}
