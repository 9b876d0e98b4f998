//! Floor 8: the command line. Parses, calls the other rooms, prints, and ends with an exit code of the contract.

mod actions;
mod again;
mod args;
mod caret;
mod connect;
mod console_log;
mod ctx;
mod dash;
mod demo;
mod diff;
mod doctor;
mod engine;
mod evidence;
mod failure;
mod follow;
mod full_screen;
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
mod rows;
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

use args::{Cli, Command};
use failure::{Failure, Outcome};
use out::Out;

pub use ctx::{Ctx, DEFAULT_SITE};

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
            let how = full_screen::How { read_only: cli.read_only, links: cli.links, no_probe: cli.no_probe, notify: cli.notify };
            full_screen::console(&ctx, &mut out, cli.from.as_deref(), &how)
        }
    };
    end(&out, result)
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
