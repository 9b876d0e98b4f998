//! Reaching the engine: exactly one socket is tried; a private engine is started where none answers, a shared one never.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Ctx;
use super::failure::Failure;
use crate::api::client::{ANSWER, NoConnection, Trouble};
use crate::api::{ApiError, Client, Code};
use crate::config::Site;

/// An engine that was started, here or by another client at the same moment, listens within this.
const START: Duration = Duration::from_secs(30);

/// Where another engine had the store and still nothing listens, the next try.
const HELD_AGAIN: Duration = Duration::from_millis(500);

/// Whether an engine may be started for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Where the site has a private engine and none answers.
    OnDemand,
    Never,
}

/// Runs a client's work on a small runtime of this thread.
pub fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| {
        let help = "this process may have too few: raise `ulimit -n` (open files) or `ulimit -u` (threads)";
        Failure::from(ApiError::no_engine(format!("the engine cannot be asked: {e}"), help))
    })?;
    runtime.block_on(work)
}

/// An engine that went away under a question is asked again so often.
pub const AGAIN: u32 = 5;

/// The answer to a question that changes nothing. An engine that dies or ends while it is asked is no reason to fail: the next one is asked.
pub async fn read<T: serde::de::DeserializeOwned>(ctx: &Ctx, site: &Site, path: &str) -> Result<T, Failure> {
    read_from(ctx, site, path, Start::OnDemand).await
}

/// As [`read`], from an engine that may or may not be started for it.
pub async fn read_from<T: serde::de::DeserializeOwned>(ctx: &Ctx, site: &Site, path: &str, start: Start) -> Result<T, Failure> {
    let mut left = AGAIN;
    loop {
        let mut client = connect(ctx, site, start).await?;
        match client.get(path, ANSWER).await {
            Ok(answer) => return Ok(answer),
            Err(Trouble::Answer(e)) if e.code != Code::NoEngine || left == 0 => return Err(e.into()),
            Err(trouble @ Trouble::Silent(_)) => return Err(ApiError::from(trouble).into()),
            Err(trouble @ Trouble::Lost(_)) if left == 0 => return Err(ApiError::from(trouble).into()),
            Err(_) => left -= 1,
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What somebody can do whom the socket's mode keeps out.
pub fn membership(site: &Site) -> String {
    match &site.socket_group {
        Some(group) => {
            format!("it is for members of group `{group}`: ask an administrator to add you (usermod -aG {group} USER), then log in anew")
        }
        None => "nothing was sent to it; check --state-dir, or [engine] socket in site.toml".into(),
    }
}

/// A connection to the site's engine.
pub async fn connect(ctx: &Ctx, site: &Site, start: Start) -> Result<Client, Failure> {
    let (path, shared) = ctx.dirs.socket(site);
    let deadline = Instant::now() + START;
    let mut child: Option<Starting> = None;
    let mut pause = Duration::from_millis(2);
    loop {
        match Client::connect(&path, ctx.uid, shared).await {
            Ok(client) => return Ok(client),
            Err(NoConnection::Refused(why)) => {
                return Err(ApiError::refused(why, "nothing was sent to it; check --state-dir, or [engine] socket in site.toml").into());
            }
            Err(NoConnection::Closed(why)) => return Err(ApiError::refused(why, membership(site)).into()),
            Err(NoConnection::Silent(why)) => return Err(ApiError::no_engine(why, help_for(shared)).into()),
            Err(NoConnection::Absent) if shared => {
                let message = format!("no engine listens at {}", path.display());
                return Err(ApiError::no_engine(message, help_for(true)).into());
            }
            Err(NoConnection::Absent) if start == Start::Never => {
                let message = format!("no engine runs for {}", ctx.dirs.state.display());
                return Err(ApiError::no_engine(message, "start it: quarterdeck engine start").into());
            }
            Err(NoConnection::Absent) => {}
        }
        match &mut child {
            None => child = Some(Starting::spawn(ctx)?),
            Some(starting) => {
                if let Some(failure) = starting.failed() {
                    return Err(failure);
                }
                // Whoever has the store may have been on its way out: it has no socket any more, and will not get one.
                if starting.held.is_some_and(|at| at.elapsed() > HELD_AGAIN) {
                    let holder = starting.holder.take();
                    let mut next = Starting::spawn(ctx)?;
                    next.holder = holder;
                    child = Some(next);
                }
            }
        }
        if Instant::now() > deadline {
            return Err(match child.as_ref().and_then(|c| c.holder.as_deref()) {
                Some(holder) => ApiError::no_engine(
                    format!("{holder}; but after {} s nothing listens at {}", START.as_secs(), path.display()),
                    "it may be stopped, or its disk may hang: look at that pid; where it is ended, its steps go on under their shims",
                ),
                None => ApiError::no_engine(
                    format!("the engine was started, but does not listen at {} after {} s", path.display(), START.as_secs()),
                    format!("look into {}/logs", ctx.dirs.state.display()),
                ),
            }
            .into());
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

fn help_for(shared: bool) -> &'static str {
    if shared {
        "the site file names this engine, so none is started here: ask who runs it (systemctl status quarterdeck); its own account runs it by `quarterdeck engine run`"
    } else {
        "look at its log in STATE/logs; quarterdeck engine stop, or end its pid, and ask again"
    }
}

/// An engine on its way: its standard error is held until it is ready or has failed.
struct Starting {
    child: Option<Child>,
    /// What it said about another engine that has the store.
    holder: Option<String>,
    /// Since when it has been over for that reason.
    held: Option<Instant>,
}

impl Starting {
    fn spawn(ctx: &Ctx) -> Result<Self, Failure> {
        let fail = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::WouldBlock => super::last_words::no_threads(),
            _ => ApiError::no_engine(format!("cannot start the engine: {e}"), "start it by hand: quarterdeck engine run").into(),
        };
        let exe = std::env::current_exe().map_err(fail)?;
        let mut command = Command::new(exe);
        command.arg("--state-dir").arg(&ctx.dirs.state).arg("--config-dir").arg(&ctx.dirs.config);
        command.arg("--log-level").arg(&ctx.global.log_level).args(["engine", "run", "--detached"]);
        // Absolute directories are passed, so the variables would only say the same twice. Its directory must not hold a mount busy.
        command.env_remove("QUARTERDECK_CONFIG_DIR").env_remove("QUARTERDECK_STATE_DIR").current_dir("/");
        // A service that this command belongs to is not ready because an engine is.
        command.env_remove(crate::engine::notice::VARIABLE);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(Self { child: Some(command.spawn().map_err(fail)?), holder: None, held: None })
    }

    /// Why it ended, if it did and not because another engine was first.
    fn failed(&mut self) -> Option<Failure> {
        let child = self.child.as_mut()?;
        let status = match child.try_wait() {
            Ok(Some(status)) => status,
            _ => return None,
        };
        let mut said = String::new();
        if let Some(mut stderr) = child.stderr.take() {
            let _ = stderr.by_ref().take(16 << 10).read_to_string(&mut said);
        }
        self.child = None;
        let code = status.code().unwrap_or(-1);
        let message = said.trim().trim_start_matches("error: ").to_owned();
        if code == i32::from(HELD) {
            // Another client's engine has the store, and its socket is about to appear; or the last engine is just ending.
            self.held = Some(Instant::now());
            self.holder = Some(message.split(';').next().unwrap_or_default().to_owned());
            return None;
        }
        let message = if message.is_empty() { format!("the engine ended at once ({status})") } else { message };
        let (head, help) = message.split_once("\n  ").map_or((message.as_str(), ""), |(m, h)| (m, h));
        let code = match code {
            2 => Code::BadInput,
            4 => Code::Refused,
            _ => Code::NoEngine,
        };
        Some(ApiError::new(code, format!("the engine does not start: {head}"), help).into())
    }
}

impl Drop for Starting {
    /// Reaps it whenever it ends, so that no zombie stands for a dead engine while this client goes on.
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Without a thread it becomes a zombie for as long as this client lives: that harms nobody.
            let _ = std::thread::Builder::new().spawn(move || child.wait());
        }
    }
}

/// Exit code of an engine that found another one on its store. Not of the contract: only its client sees it.
pub const HELD: u8 = 75;
