//! Floor 8: the command line. Parses, calls the other rooms, prints, and ends with an exit code of the contract.

mod actions;
mod again;
mod args;
mod caret;
mod connect;
mod console_log;
mod dash;
mod demo;
mod diff;
mod doctor;
mod engine;
mod evidence;
mod failure;
mod follow;
mod get;
mod get_repo;
mod import;
mod last_words;
mod log;
mod log_print;
mod look;
mod manual;
mod other_runs;
mod out;
mod pipeline;
mod prompt;
mod run;
mod save;
mod schedule;
mod screen;
mod secret;
mod shell;
mod site;
mod site_check;
mod stages;
mod step;
mod table;
mod tables;
mod times;
mod view;
mod where_used;
mod why;

use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;
use rustix::fs::Mode;

use crate::config::dirs::{Surroundings, Wanted};
use crate::config::{ConfigError, Dirs, Site};
use crate::engine::catalog;
use crate::pipeline::Catalog;
use args::{Cli, Command, Global};
use failure::{Failure, Outcome};
use out::Out;

/// The whole program but for the shim, which `main` enters before this.
pub fn main() -> ExitCode {
    last_words::with(std::env::args_os().any(|a| a == "--json"), program)
}

fn program() -> ExitCode {
    // What we make is for us: a umask that closes our own files to ourselves would only break later, and elsewhere.
    let closed = rustix::process::umask(Mode::RWXU);
    rustix::process::umask(closed & !Mode::RWXU);
    let cli = match Cli::of_process() {
        Ok(cli) => cli,
        Err(e) => return usage(&e),
    };
    let mut out = Out::new(cli.global.json, cli.global.color);
    out.given = again::given(&cli.global, false);
    let ctx = match Ctx::new(&cli.global) {
        Ok(ctx) => ctx,
        Err(f) => return end(&out, Err(f)),
    };
    let result = match cli.command {
        Some(_) if cli.from.is_some() || cli.read_only || cli.links || cli.no_probe || !cli.notify.is_empty() => Err(Failure::bad(
            "--from, --read-only, --links, --no-probe and --notify open the console, and go with no command",
            "`screen` and nothing else takes a --from of its own, after it",
        )),
        Some(command) => dispatch(command, &ctx, &mut out),
        None => {
            let how = screen::How { read_only: cli.read_only, links: cli.links, no_probe: cli.no_probe, notify: cli.notify };
            screen::console(&ctx, &mut out, cli.from.as_deref(), &how)
        }
    };
    end(&out, result)
}

/// What the site without a name is called.
pub const DEFAULT_SITE: &str = "default";

/// What every command knows: its directories, and who runs it.
pub struct Ctx {
    pub dirs: Dirs,
    pub global: Global,
    pub uid: u32,
}

impl Ctx {
    fn new(global: &Global) -> Result<Self, Failure> {
        let around = Surroundings::of_process();
        // The site without a name is called so on the screen; a directory of that name below sites/ has it first.
        let unnamed = |n: &String| n == DEFAULT_SITE && !crate::config::dirs::sites(&around).contains(n);
        let site = global.site.clone().filter(|n| !unnamed(n));
        let wanted = Wanted { site, config_dir: global.config_dir.clone(), state_dir: global.state_dir.clone() };
        let dirs = Dirs::find(&wanted, &around)?;
        Ok(Self { dirs, global: global.clone(), uid: rustix::process::geteuid().as_raw() })
    }

    /// What pipeline files may name. A site whose file is broken is said so: its names would all be unknown.
    pub fn catalog(&self, out: &mut Out) -> Result<Catalog, Failure> {
        let site = self.site(out)?;
        let catalog = catalog::of_site_now(&self.dirs, &site, self.uid, jiff::Timestamp::now())?;
        Ok(catalog::with_stages(catalog, &self.dirs, self.uid))
    }

    /// The same for another site of this machine. Directories that were named stand for one site alone.
    pub fn elsewhere(&self, name: &str) -> Result<Self, Failure> {
        let around = Surroundings::of_process();
        let named = self.global.config_dir.is_some()
            || self.global.state_dir.is_some()
            || around.env_config.is_some()
            || around.env_state.is_some();
        if named {
            return Err(Failure::bad(
                "this console was opened on directories that were named, and they hold one site",
                "without --state-dir and --config-dir, sites/NAME below the configuration directory are others",
            ));
        }
        let site = Some(name.to_owned()).filter(|n| n != DEFAULT_SITE);
        let all = self.sites();
        if !all.iter().any(|n| n == name) {
            return Err(Failure::bad(format!("there is no site `{name}`"), format!("there are: {}", all.join(" "))));
        }
        Self::new(&Global { site, ..self.global.clone() })
    }

    /// Names of the sites that a person here could open: the one without a name, and those below `sites/`.
    pub fn sites(&self) -> Vec<String> {
        let around = Surroundings::of_process();
        if self.global.config_dir.is_some() || self.global.state_dir.is_some() {
            return Vec::new();
        }
        let mut all = crate::config::dirs::sites(&around);
        all.insert(0, DEFAULT_SITE.to_owned());
        all
    }

    /// The site, whole or an error; from then on times are shown in its zone.
    pub fn site(&self, out: &mut Out) -> Result<Site, Failure> {
        let site = self.dirs.load(self.uid)?;
        if let Some(zone) = crate::base::zone::named(&site.time_zone) {
            out.zone = zone;
        }
        Ok(site)
    }

    /// The site for a command that only looks. Where its file is broken, the engine that answers beside it goes on with what it had, and may
    /// still be looked at: a slip in a file must not hide the log of what runs.
    pub fn site_to_look(&self, out: &mut Out) -> Result<Site, Failure> {
        match self.dirs.load(self.uid) {
            Err(e @ ConfigError::Broken { .. }) if self.dirs.private_socket().exists() => {
                let told = e.to_string();
                out.note(&format!(
                    "note: {}: nothing can be changed until it is mended: quarterdeck site check",
                    told.lines().next().unwrap_or_default()
                ));
                let text = self.dirs.read_site(self.uid).ok().flatten().unwrap_or_default();
                if let Some(zone) = crate::config::dirs::zone_in(&text).and_then(|z| crate::base::zone::named(&z)) {
                    out.zone = zone;
                }
                Ok(Site::default())
            }
            _ => self.site(out),
        }
    }
}

fn dispatch(command: Command, ctx: &Ctx, out: &mut Out) -> Outcome {
    match command {
        Command::Actions => actions::run(out),
        Command::Approve(args) => run::approve(ctx, out, args),
        Command::Cancel(args) => run::cancel(ctx, out, args),
        Command::Completions { shell } => manual::completions(out, shell),
        Command::Demo(args) => demo::run(ctx, out, args),
        Command::Diff(args) => diff::run(ctx, out, &args),
        Command::Doctor => doctor::run(ctx, out),
        Command::Do(args) => run::act(ctx, out, args),
        Command::Engine { command } => engine::run(ctx, out, command),
        Command::Evidence { promotion, file } => evidence::run(ctx, out, &promotion, file),
        Command::Get(args) => get::run(ctx, out, &args),
        Command::Log(args) => log::run(ctx, out, args),
        Command::Man => manual::man(out),
        Command::Pipeline { command } => pipeline::run(ctx, out, command),
        Command::Replay(args) => run::replay(ctx, out, args),
        Command::Resume(args) => run::again(ctx, out, "resume", args),
        Command::Retry(args) => run::again(ctx, out, "retry", args),
        Command::Run(args) => run::run(ctx, out, args),
        Command::Save { file } => save::run(ctx, out, &file),
        Command::Screen(args) => screen::frame(ctx, out, &args),
        Command::Schedule { command } => schedule::run(ctx, out, command),
        Command::Secret { command } => secret::run(ctx, out, command),
        Command::SecretService { operation, entry } => secret::serve(&operation, &entry),
        Command::Site { command } => site::run(ctx, out, &command),
        Command::Step(step) => step::run(out, &step),
        Command::WhereUsed { what } => where_used::run(ctx, out, &what),
        Command::Why { run } => why::run(ctx, out, &run),
    }
}

fn end(out: &Out, result: Outcome) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(f) => {
            out.failure(&f);
            ExitCode::from(f.exit)
        }
    }
}

/// What clap says, as message and help: its first paragraph on one line, then its hints, or how the command is used.
fn in_two(text: &str) -> (String, String) {
    let line = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n");
    let message = line(paragraphs.next().unwrap_or_default()).trim_start_matches("error: ").to_owned();
    let rest: Vec<String> = paragraphs.map(line).collect();
    let hints: Vec<&str> = rest.iter().filter_map(|p| p.strip_prefix("tip: ")).collect();
    let usage = || rest.iter().find_map(|p| p.strip_prefix("Usage: ")).unwrap_or_default().to_owned();
    let help = if hints.is_empty() { usage() } else { hints.join("; ") };
    (message, help)
}

/// Where a command was missing or unknown: the words before it, and the commands that there are. Clap says how to use the one above.
fn commands(said: &str) -> (String, String) {
    let used = said.lines().find_map(|l| l.trim_start().strip_prefix("Usage: ")).unwrap_or_default();
    let root = Cli::command();
    let (mut at, mut path) = (&root, root.get_name().to_owned());
    for word in used.split_whitespace().skip(1) {
        match at.find_subcommand(word) {
            Some(below) => {
                at = below;
                path = format!("{path} {word}");
            }
            None => break,
        }
    }
    let names: Vec<&str> = at.get_subcommands().filter(|c| !c.is_hide_set()).map(clap::Command::get_name).collect();
    (path, format!("commands: {}", names.join(" ")))
}

/// Help and version are results; everything else that clap says is wrong use. An unknown command is told which ones exist.
fn usage(e: &clap::Error) -> ExitCode {
    let wrong = e.use_stderr();
    let json = wrong && std::env::args_os().any(|a| a == "--json");
    let out = Out::new(json, args::Color::Auto);
    if !wrong {
        out.raw(e.render().to_string().as_bytes());
        return ExitCode::SUCCESS;
    }
    let said = e.render().to_string();
    if json {
        let (message, help) = in_two(&said);
        return end(
            &out,
            Err(match e.kind() {
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
                    let (used, all) = commands(&said);
                    Failure::bad(format!("`{used}` needs a command"), all)
                }
                ErrorKind::InvalidSubcommand => Failure::bad(message, commands(&said).1),
                _ => Failure::bad(message, help),
            }),
        );
    }
    out.note(said.trim_end());
    if e.kind() == ErrorKind::InvalidSubcommand {
        out.note(&format!("\n{}", commands(&said).1));
    }
    ExitCode::from(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn the_commands_that_are_named_are_those_of_the_place() {
        let said = |words: &[&str]| commands(&Cli::try_parse_from(words).unwrap_err().render().to_string());
        assert!(said(&["quarterdeck", "frobnicate"]).1.starts_with("commands: actions approve cancel"));
        let engine = ("quarterdeck engine".to_owned(), "commands: run start status stop drain".to_owned());
        assert_eq!(said(&["quarterdeck", "--state-dir", "run", "engine", "strat"]), engine);
        assert_eq!(said(&["quarterdeck", "engine"]), engine);
        assert_eq!(said(&["quarterdeck", "demo", "advanc"]).1, "commands: advance as");
    }

    #[test]
    fn wrong_use_is_told_whole_and_with_what_to_do() {
        let said = |words: &[&str]| in_two(&Cli::try_parse_from(words).unwrap_err().render().to_string());
        let told = |message: &str, help: &str| (message.to_owned(), help.to_owned());
        assert_eq!(
            said(&["quarterdeck", "run"]),
            told("the following required arguments were not provided: <PIPELINE>", "quarterdeck run <PIPELINE>")
        );
        assert_eq!(
            said(&["quarterdeck", "get", "runs", "--filtr", "x"]),
            told("unexpected argument '--filtr' found", "a similar argument exists: '--filter'")
        );
    }
}
