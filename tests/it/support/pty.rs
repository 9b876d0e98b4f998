//! A program on a terminal of its own: keys in, what it shows as cells, every byte that it wrote. The terminal is a pseudo-terminal whose
//! picture the `vt100` crate keeps; the program is the leader of its own session, as after a log-in.
#![allow(unsafe_code)]

use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::termios::{Termios, Winsize, tcgetattr, tcsetwinsize};

use super::wait::{LIMIT, until_some};

#[derive(Debug)]
pub struct Pty {
    child: Child,
    master: Option<Arc<std::fs::File>>,
    reader: Option<std::thread::JoinHandle<()>>,
    /// Kept open, so that what the program leaves in the terminal can be looked at after its end.
    slave: Option<OwnedFd>,
    screen: Arc<Mutex<Screen>>,
    before: Termios,
}

struct Screen {
    parser: vt100::Parser,
    raw: Vec<u8>,
    reads: usize,
    /// Nothing is read while this is set: a link that takes nothing.
    stalled: bool,
    /// Bytes a second that are read; 0 = as fast as they come.
    rate: usize,
    /// The reader ends, and with it the last descriptor of the terminal's far end.
    closed: bool,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.raw.len())
    }
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

fn cells(n: u16) -> NonZero<u16> {
    NonZero::new(n).expect("a terminal has cells")
}

impl Pty {
    /// Starts the command on a terminal of this size. `TERM` is xterm-256color unless the command says otherwise.
    pub fn start(command: Command, columns: u16, rows: u16) -> Self {
        Self::start_with(command, columns, rows, false)
    }

    /// As [`Pty::start`]; the program is born with SIGHUP ignored, as under `nohup`.
    pub fn start_with(mut command: Command, columns: u16, rows: u16, no_hup: bool) -> Self {
        let (mut master, mut slave) = (-1, -1);
        let window = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: both descriptors are written to by the call and owned from here on; name and termios are left out.
        let (master, slave) = unsafe {
            assert_eq!(libc::openpty(&mut master, &mut slave, std::ptr::null_mut(), std::ptr::null_mut(), &window), 0);
            (OwnedFd::from_raw_fd(master), OwnedFd::from_raw_fd(slave))
        };
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC).expect("close on exec");
        rustix::io::fcntl_setfd(&slave, rustix::io::FdFlags::CLOEXEC).expect("close on exec");
        let before = tcgetattr(&slave).expect("a terminal");
        let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
        if !command.get_envs().any(|(k, _)| k == "TERM") {
            command.env("TERM", "xterm-256color");
        }
        command.stdin(end()).stdout(end()).stderr(end());
        let terminal = slave.as_raw_fd();
        // SAFETY: only calls that are safe between fork and exec.
        unsafe {
            command.pre_exec(move || {
                if libc::setsid() < 0 || libc::ioctl(terminal, libc::TIOCSCTTY, 0) < 0 {
                    return Err(std::io::Error::last_os_error());
                }
                if no_hup {
                    libc::signal(libc::SIGHUP, libc::SIG_IGN);
                }
                Ok(())
            });
        }
        let child = command.spawn().expect("the program starts");
        let screen = Arc::new(Mutex::new(Screen {
            parser: vt100::Parser::new(cells(rows), cells(columns), 0),
            raw: Vec::new(),
            reads: 0,
            stalled: false,
            rate: 0,
            closed: false,
        }));
        let master = Arc::new(std::fs::File::from(master));
        let (from, to) = (master.clone(), screen.clone());
        let reader = std::thread::spawn(move || {
            let mut chunk = [0u8; 64 << 10];
            loop {
                let (stalled, closed, rate) = {
                    let s = to.lock().unwrap();
                    (s.stalled, s.closed, s.rate)
                };
                if closed {
                    return;
                }
                let mut ready = [rustix::event::PollFd::new(&*from, rustix::event::PollFlags::IN)];
                let patience = rustix::event::Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
                if stalled {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                }
                match rustix::event::poll(&mut ready, Some(&patience)) {
                    Ok(n) if n > 0 => {}
                    _ => continue,
                }
                // A slow link hands on a little at a time.
                let room = if rate > 0 { (rate / 50).max(1) } else { chunk.len() };
                match (&*from).read(&mut chunk[..room]) {
                    Ok(n) if n > 0 => {
                        if rate > 0 {
                            std::thread::sleep(Duration::from_millis(n as u64 * 1_000 / rate as u64));
                        }
                        let mut s = to.lock().unwrap();
                        s.parser.process(&chunk[..n]);
                        s.raw.extend_from_slice(&chunk[..n]);
                        s.reads += 1;
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    _ => return,
                }
            }
        });
        Self { child, master: Some(master), reader: Some(reader), slave: Some(slave), screen, before }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Types these bytes.
    pub fn keys(&self, bytes: impl AsRef<[u8]>) {
        (&**self.master.as_ref().expect("the terminal is open")).write_all(bytes.as_ref()).expect("the keys are taken");
    }

    /// Gives the console a command of its palette, as a person does: what comes faster than that is a paste, and Enter is not taken from one.
    #[track_caller]
    pub fn command(&self, line: &str) {
        self.prompt(":", ":", line);
    }

    /// Opens a prompt with a key, types a line into it, and enters that. `lead`: what stands before the line.
    #[track_caller]
    pub fn prompt(&self, key: &str, lead: &str, line: &str) {
        self.keys(key);
        self.keys(line);
        self.shows(&format!("{lead}{line}"));
        self.enter();
    }

    /// Enter, as late as a person's: at once behind a text it is one of a paste, and not taken.
    pub fn enter(&self) {
        std::thread::sleep(Duration::from_millis(60));
        self.keys("\r");
    }

    /// Types as a person does, each sign by itself.
    pub fn types(&self, text: &str) {
        for c in text.chars() {
            self.keys(c.to_string());
            std::thread::sleep(Duration::from_millis(150));
        }
    }

    /// A key to a question that is shown, until `done`: pressed again where it came before the question could have been read.
    #[track_caller]
    pub fn answers(&self, key: &str, what: &str, done: impl Fn(&str) -> bool) {
        self.sees(what, |s| {
            if !done(s) {
                self.keys(key);
                std::thread::sleep(Duration::from_millis(250));
            }
            done(&self.text())
        });
    }

    /// What the terminal shows, blanks at line ends cut.
    pub fn text(&self) -> String {
        self.screen.lock().unwrap().parser.screen().contents()
    }

    /// Waits until the screen holds `text`; panics with the screen when it never does.
    #[track_caller]
    pub fn shows(&self, text: &str) -> String {
        self.sees(&format!("`{text}`"), |s| s.contains(text))
    }

    #[track_caller]
    pub fn sees(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let start = Instant::now();
        loop {
            let now = self.text();
            if wanted(&now) {
                return now;
            }
            assert!(start.elapsed() < LIMIT, "the screen never showed {what}:\n{now}");
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Bytes that came so far, and reads that brought them.
    pub fn count(&self) -> (usize, usize) {
        let s = self.screen.lock().unwrap();
        (s.raw.len(), s.reads)
    }

    /// Everything that was written since byte `from`.
    pub fn since(&self, from: usize) -> Vec<u8> {
        self.screen.lock().unwrap().raw[from..].to_vec()
    }

    /// Waits until nothing has come for `quiet`, and returns how many bytes came in all.
    pub fn settled(&self, quiet: Duration) -> usize {
        let (mut last, mut at) = (self.count().0, Instant::now());
        let start = Instant::now();
        while at.elapsed() < quiet && start.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(5));
            let now = self.count().0;
            if now != last {
                (last, at) = (now, Instant::now());
            }
        }
        last
    }

    /// From now on nothing is read, or it is again.
    pub fn stall(&self, stalled: bool) {
        self.screen.lock().unwrap().stalled = stalled;
    }

    /// From now on no more than so many bytes a second are read; 0 = all.
    pub fn throttle(&self, rate: usize) {
        self.screen.lock().unwrap().rate = rate;
    }

    pub fn resize(&self, columns: u16, rows: u16) {
        self.screen.lock().unwrap().parser.screen_mut().set_size(cells(rows), cells(columns));
        tcsetwinsize(self.master.as_ref().expect("the terminal is open").as_fd(), size(columns, rows)).expect("a size");
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.pid()).expect("a pid");
        rustix::process::kill_process(pid, signal).expect("it lives");
    }

    /// Closes the terminal, as a lost connection does.
    pub fn hang_up(&mut self) {
        self.slave = None;
        self.screen.lock().unwrap().closed = true;
        // Only the last descriptor that is closed hangs up, and the reading thread has the other.
        self.reader.take().expect("the terminal is open").join().expect("the reader ends");
        self.master = None;
    }

    pub fn wait(&mut self) -> ExitStatus {
        until_some("the program on the terminal to end", || self.child.try_wait().expect("it is our child"))
    }

    /// Panics unless everything that a full-screen program switches on is off again.
    #[track_caller]
    pub fn restored(&self) {
        let slave = self.slave.as_ref().expect("the terminal is open");
        let now = tcgetattr(slave).expect("a terminal");
        let modes = |t: &Termios| (t.input_modes, t.output_modes, t.local_modes, t.control_modes);
        assert_eq!(modes(&now), modes(&self.before), "the modes of the terminal");
        super::wait::until("the last bytes", || !self.screen.lock().unwrap().parser.screen().alternate_screen());
        let s = self.screen.lock().unwrap();
        let screen = s.parser.screen();
        assert!(
            !screen.hide_cursor() && !screen.bracketed_paste(),
            "cursor hidden {}, paste {}",
            screen.hide_cursor(),
            screen.bracketed_paste()
        );
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.screen.lock().unwrap().closed = true;
    }
}
