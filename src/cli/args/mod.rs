//! The command line as clap sees it: names, flags, help. What a command does is in its own file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::duration::Span;

mod acts;
mod examples;
mod values;

pub use acts::{Again, Approve, Change, Consent, Do, OnlyConsent, Replay, Run};
pub use examples::HEADING as EXAMPLES_HEADING;
pub use values::Attempt;
use values::{attempt, level, pair, whole, within, year};

/// Run pipelines, watch the estate. Every change to it is a run of the embedded runner.
#[derive(Debug, Parser)]
#[command(name = "quarterdeck", version, about, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 the thing asked about failed, 2 wrong use or bad input, 3 no engine or far end, \
    4 refused, 5 cancelled, 6 lost.")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    /// Open the console on a state that `quarterdeck save` wrote; nothing can be changed there
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Open the console so that it cannot be armed
    #[arg(long)]
    pub read_only: bool,
    /// The console makes links of the site's own addresses (OSC 8), where the terminal shows such
    #[arg(long)]
    pub links: bool,
    /// The console asks the terminal nothing about itself
    #[arg(long)]
    pub no_probe: bool,
    /// The console tells when something breaks: bell, osc9 (a notice of the desktop), title (of the window)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "HOW")]
    pub notify: Vec<Notify>,
    /// Without one: the console
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Notify {
    Bell,
    Osc9,
    Title,
}

#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Site of this name below the configuration directory
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global")]
    pub site: Option<String>,
    /// Configuration directory [env: QUARTERDECK_CONFIG_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global")]
    pub config_dir: Option<PathBuf>,
    /// State directory; alone it brings its configuration in DIR/config [env: QUARTERDECK_STATE_DIR]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Global")]
    pub state_dir: Option<PathBuf>,
    /// Print JSON, errors too
    #[arg(long, global = true, overrides_with = "json", help_heading = "Global")]
    pub json: bool,
    /// Colours: auto, always, never; or how many the terminal has, where that is known better here: 16, 256, true
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", help_heading = "Global", hide_possible_values = true)]
    pub color: Color,
    /// What the engine logs: error, warn, info, debug, trace, or tracing's filter language
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL", value_parser = level, help_heading = "Global")]
    pub log_level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
    #[value(name = "16")]
    Sixteen,
    #[value(name = "256")]
    Many,
    #[value(name = "true", alias = "truecolor", alias = "24bit")]
    True,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every action with its level and roles
    Actions,
    /// Approve what waits for people: a stage of a run, or its start
    Approve(Approve),
    /// Cancel a run: its steps are stopped in order, its post stages run
    Cancel(Change),
    /// Print the completion script of a shell
    Completions {
        /// The shell that reads it
        shell: clap_complete::Shell,
    },
    /// The demo estate: a yum upstream, its mirror and an engine, in one command
    Demo(Demo),
    /// Compare two contents: packages, sources, module streams, and the CVE ids between them
    Diff(Diff),
    /// Check this machine and site: each row with what was found and what to do. Exit 1 where something fails
    Doctor,
    /// Do an action by its id: `quarterdeck actions` lists them
    Do(Do),
    /// The engine: run it, start it, ask it, end it
    Engine {
        #[command(subcommand)]
        command: Engine,
    },
    /// Write the evidence of a promotion: an archive that anybody verifies with sha256sum and ssh-keygen
    Evidence {
        /// PR-…
        promotion: String,
        /// A file that does not exist yet, or - for standard output; default: evidence-PROMOTION.tar.gz here
        #[arg(short = 'o', long = "output", value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Show rows of the engine
    Get(Get),
    /// Show the log of a run, of one of its stages, or of one step
    Log(Log),
    /// Print the manual page
    Man,
    /// Look at pipeline files
    Pipeline {
        #[command(subcommand)]
        command: Pipeline,
    },
    /// Run a pipeline again as a new run, with parameters edited
    Replay(Replay),
    /// Go on with a run from the first stage that did not succeed
    Resume(Again),
    /// Run the failed cells of a run again
    Retry(Again),
    /// Run a pipeline
    Run(Run),
    /// Save all that the console shows in a file: `quarterdeck --from FILE` opens it anywhere
    Save {
        /// A file that does not exist yet, or - for standard output
        file: PathBuf,
    },
    /// Print one frame of the console, without a terminal
    Screen(Screen),
    /// What the clock will start
    Schedule {
        #[command(subcommand)]
        command: Schedule,
    },
    /// Where secrets come from
    Secret {
        #[command(subcommand)]
        command: Secret,
    },
    /// One question to the Secret Service, for the engine
    #[command(hide = true)]
    SecretService { operation: String, entry: String },
    /// The site: make one, check it
    Site {
        #[command(subcommand)]
        command: Site,
    },
    /// Run one native step by hand
    Step(Step),
    /// Show which runs made, used, read or left something: a file here, a sha256, or the fingerprint of a content set
    WhereUsed {
        /// A file, - for standard input, or 64 hexadecimal digits
        what: String,
    },
    /// Say why a run does not run or how it ended, what a promotion waits for, or why a repository is fresh, behind, torn or frozen
    Why {
        /// PIPELINE#NUMBER, PR-…, or a repository of the site file
        run: String,
    },
}

#[derive(Debug, Args)]
#[command(
    after_help = "A content is a set of the site (SET or SET@latest), a pointer (SET@stable, stable), a snapshot, six digits or more of a fingerprint, \
    a directory, or an address; a place of a repository is REPO@PLACE (latest, upstream, tree, stable, a datacentre). \
    --filter, --sort, --offset and --limit speak of source packages, with --packages of packages; of the other table in --json what belongs \
    to the rest stays. Counts and CVE ids are those of the whole. What a changelog does not tell is unknown, and is shown so."
)]
pub struct Diff {
    /// The content that was
    pub a: String,
    /// The content that is
    pub b: String,
    /// Packages, one by one, in place of their sources
    #[arg(long)]
    pub packages: bool,
    /// What was written between the two, source by source
    #[arg(long, conflicts_with_all = ["packages", "no_changelogs"])]
    pub changelogs: bool,
    /// Read no changelog: faster, and no CVE ids
    #[arg(long)]
    pub no_changelogs: bool,
    #[command(flatten)]
    pub cut: Cut,
    /// Exit with 1 where something differs
    #[arg(long)]
    pub exit_code: bool,
}

#[derive(Debug, Args)]
pub struct Screen {
    /// home, jobs, runs, run, log, audit, schedule, mirrors, content, diff, promotions, promotion; an unknown one lists them all
    pub name: String,
    /// The run that `run` shows, RUN[/STAGE[/STEP]] for `log`, a promotion, or the first of the two contents of `diff`
    pub target: Option<String>,
    /// The second of the two contents of `diff`
    pub other: Option<String>,
    /// Columns x rows
    #[arg(long, default_value = "80x24", value_name = "WxH")]
    pub size: String,
    /// A built-in theme (dark, light, high-contrast, deuteranopia, tritanopia, ansi16, mono) or one of CONFIG/themes
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
    /// Signs of ASCII only
    #[arg(long)]
    pub ascii: bool,
    /// The moment that the frame shows as now, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub now: Option<String>,
    /// A state that `quarterdeck save` wrote (- reads it from standard input), in place of the engine; its moment is now
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// What is printed: plain text, text with the terminal's colours, or a picture
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Text,
    Ansi,
    Svg,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(
    after_help = "Makes its own directory, `quarterdeck-demo` beside your other state, or --state-dir. With --json it prints one line when it is \
    ready, runs nothing by itself, and stays up."
)]
pub struct Demo {
    /// Remove what an earlier demo left in its directory, and start over
    #[arg(long)]
    pub fresh: bool,
    /// Packages and their changes follow from this number; 1 where nothing is said
    #[arg(long, value_name = "N", value_parser = whole::<u64>, allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// Plain lines, and one nightly, in place of the console
    #[arg(long)]
    pub no_tui: bool,
    /// A new demo begins without the promotions of past quarters: sooner
    #[arg(long)]
    pub no_past: bool,
    #[command(subcommand)]
    pub command: Option<DemoCommand>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum DemoCommand {
    /// Publish the next compose upstream
    Advance,
    /// Run a command, or the console, as one of the demo's people: op-07 (operations) or sec-02 (security)
    As {
        /// op-07 or sec-02
        person: String,
        /// The command and its words; none opens the console
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
        words: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Engine {
    /// Be the engine, in the foreground
    Run {
        /// Started by a client: leave its session, and close its streams once ready
        #[arg(long, hide = true)]
        detached: bool,
    },
    /// Start the engine in the background
    Start,
    /// Show what it is doing; exit code 3 where there is none
    Status,
    /// End it; steps that run go on, and the next engine takes them over
    Stop(OnlyConsent),
    /// Start nothing new, and let what runs end; kept over a restart
    Drain {
        /// Start queued runs again
        #[arg(long)]
        off: bool,
        /// Wait until nothing runs any more; runs that wait for people do not count
        #[arg(long, conflicts_with = "off")]
        until_idle: bool,
        /// With --until-idle: how long, such as 2h; after it exit 1, and the drain stays
        #[arg(long, requires = "until_idle", value_name = "TIME")]
        deadline: Option<Span>,
        #[command(flatten)]
        consent: Consent,
    },
}

/// Which part of a table, and in which order.
#[derive(Debug, Clone, Default, Args)]
pub struct Cut {
    /// Words, col=value, !=, <, <=, >, >=, ~regex, !; blanks mean and; a time is a date, RFC 3339, or -2h: before now
    #[arg(long, value_name = "EXPR", default_value = "", hide_default_value = true)]
    pub filter: String,
    /// Column to sort by; `-COL` backwards
    #[arg(long, value_name = "COL", allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// Rows at most
    #[arg(long, value_name = "N", value_parser = whole::<usize>, allow_negative_numbers = true)]
    pub limit: Option<usize>,
    /// Rows to leave out at the beginning; --json then says in `page` how many there are in all
    #[arg(long, value_name = "N", value_parser = whole::<usize>, allow_negative_numbers = true)]
    pub offset: Option<usize>,
}

impl Cut {
    /// The whole of it.
    pub fn is_whole(&self) -> bool {
        self.filter.trim().is_empty() && self.sort.is_none() && self.limit.is_none() && self.offset.is_none()
    }
}

#[derive(Debug, Clone, Args)]
pub struct Get {
    /// What to show; an unknown word lists what there is
    pub what: String,
    /// Of mirrors: one repository, with all that is known around it: replicas, syncs, snapshots, room, and who uses it
    pub name: Option<String>,
    /// Of pipelines: only those that this tab shows (`views:` of the file)
    #[arg(long, value_name = "NAME")]
    pub view: Option<String>,
    #[command(flatten)]
    pub cut: Cut,
}

#[derive(Debug, Args)]
#[command(
    after_help = "With --json one object a line: run, stage, step, cell, attempt, offset, time, text; `partial` where the same line goes on in the \
    next one, `binary` where it is no text. With --first-error one object for each red attempt."
)]
pub struct Log {
    /// RUN[/STAGE[/STEP]]; a step of a matrix also by its cell, or as `STEP (CELL)`
    pub place: String,
    /// Stay, and print what is added until it ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only lines that match this regular expression
    #[arg(long, value_name = "RE")]
    pub grep: Option<String>,
    /// With --grep: the lines that do not match
    #[arg(short = 'v', long, requires = "grep")]
    pub invert: bool,
    /// With --grep: the text itself, not an expression
    #[arg(short = 'F', long, requires = "grep")]
    pub fixed: bool,
    /// With --grep: upper and lower case are the same
    #[arg(short, long, requires = "grep")]
    pub ignore_case: bool,
    /// With --grep: so many lines around each hit
    #[arg(short = 'C', long, value_name = "N", requires = "grep", value_parser = within::<0, 100>, allow_negative_numbers = true)]
    pub context: Option<u16>,
    /// With --grep: the number of each line
    #[arg(long, requires = "grep")]
    pub line_number: bool,
    /// Only lines from then on: a time in RFC 3339, or 10m for ten minutes ago
    #[arg(long, value_name = "T", allow_hyphen_values = true)]
    pub since: Option<String>,
    /// Only the last lines of each step
    #[arg(short = 'n', long, value_name = "N", conflicts_with_all = ["grep", "since"], value_parser = within::<1, 5_000>, allow_negative_numbers = true)]
    pub tail: Option<u16>,
    /// From this offset on, in bytes
    #[arg(long, value_name = "OFFSET", conflicts_with_all = ["since", "tail"], value_parser = whole::<u64>, allow_negative_numbers = true)]
    pub from: Option<u64>,
    /// Only this attempt of each step: a number, or `last`
    #[arg(long, value_name = "N", value_parser = attempt, allow_negative_numbers = true)]
    pub attempt: Option<Attempt>,
    /// The time before each line
    #[arg(short, long)]
    pub timestamps: bool,
    /// The line of each red step where it began to go wrong, with a few around it
    #[arg(long, conflicts_with_all = ["grep", "since", "tail", "from", "follow"])]
    pub first_error: bool,
    /// Bytes instead of lines, as hexdump -C shows them
    #[arg(long, conflicts_with_all = ["grep", "since", "tail", "timestamps", "first_error"])]
    pub hex: bool,
}

#[derive(Debug, Subcommand)]
pub enum Pipeline {
    /// Check pipeline files; exit 1 on errors, 2 where one cannot be read
    Lint {
        /// Names or files, - for standard input; none = all of the site
        file: Vec<String>,
    },
    /// Show what would run, with everything expanded
    Plan {
        /// A pipeline of the site by its name, or a file
        file: String,
        /// A parameter
        #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = pair)]
        param: Vec<(String, String)>,
    },
    /// Draw the stages and what they need
    Graph {
        /// A pipeline of the site by its name, or a file
        file: String,
        /// For graphviz
        #[arg(long)]
        dot: bool,
    },
    /// Explain a key of the format
    Explain {
        /// Such as stages.retry; none = the keys at the top
        key: Option<String>,
    },
    /// Convert a declarative Jenkinsfile or the config.xml of a job; the report says what became of each line
    #[command(after_help = "The file goes to standard output and the report to standard error; with -o, the report to standard output.")]
    Import {
        /// Jenkinsfile or config.xml; - reads standard input
        file: PathBuf,
        /// Write the pipeline file there; what exists stays
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Name of the pipeline; else that of the file, or of its directory
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
    /// Print the JSON Schema of the format
    Schema,
    /// List the site's pipelines
    List,
}

#[derive(Debug, Subcommand)]
pub enum Schedule {
    /// List the starts to come, those where clocks change marked; from the files, no engine is asked
    Preview {
        /// A whole year: the next one, or the year N
        #[arg(long, value_name = "N", num_args = 0..=1, value_parser = year, allow_negative_numbers = true)]
        year: Option<Option<i16>>,
        /// Only this pipeline
        #[arg(long, value_name = "NAME")]
        pipeline: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Secret {
    /// List the names and where their values come from
    List,
    /// Show where a value comes from; never the value
    Get {
        /// A secret that the site file names
        name: String,
    },
    /// Read a value from standard input, or without echo from the terminal, and write it to the Secret Service
    Set {
        /// A secret that the site file names
        name: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// Fetch a value and throw it away; says only whether there is one. A running engine is asked: its environment counts
    Test {
        /// None = all
        name: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Site {
    /// Make the site's files; what is there stays
    Init {
        /// Directory of the mirrored trees: large, and on a disk of its own; STATE/mirror where nothing is said
        #[arg(long, value_name = "DIR")]
        mirror: Option<PathBuf>,
    },
    /// Check the site file and every pipeline
    Check,
}

#[derive(Debug, Args)]
pub struct Step {
    /// Such as mirror/sync; an unknown word lists the kinds
    pub kind: String,
    /// A field of the step
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub with: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        Cli::tree().debug_assert();
    }

    #[test]
    fn a_slip_in_a_level_is_told_and_a_flag_may_come_twice() {
        let parse = |words: &[&str]| Cli::try_parse_from([&["quarterdeck"], words, &["get", "runs"]].concat());
        for good in ["info", "DEBUG", "off", "quarterdeck=debug", "warn,quarterdeck::engine=trace"] {
            assert_eq!(parse(&["--log-level", good]).unwrap().global.log_level, good);
        }
        for bad in ["nonsense", "", "inof", "3", "quarterdeck=deb", "info,x=y"] {
            assert!(parse(&["--log-level", bad]).unwrap_err().to_string().contains("error, warn, info"), "{bad}");
        }
        assert!(parse(&["--json", "--json"]).unwrap().global.json);
    }

    #[test]
    fn a_number_that_is_none_is_told_in_words() {
        let said = |words: &[&str]| Cli::try_parse_from([&["quarterdeck"], words].concat()).unwrap_err().to_string();
        for words in [
            &["get", "runs", "--limit", "-1"][..],
            &["get", "runs", "--offset", "x"],
            &["log", "a#1", "--from", "1.5"],
            &["demo", "--seed", ""],
        ] {
            assert!(said(words).contains("write a whole number, such as 20"), "{}", said(words));
        }
        assert!(said(&["get", "runs", "--limit", &"9".repeat(30)]).contains("it is too large"));
        assert!(said(&["log", "a#1", "-n", "-1"]).contains("write a whole number from 1 to 5000"));
        assert!(said(&["log", "a#1", "--grep", "x", "-C", "101"]).contains("from 0 to 100"));
        assert!(said(&["schedule", "preview", "--year", "next"]).contains("write a year"));
        let Some(Command::Log(log)) = Cli::try_parse_from(["quarterdeck", "log", "a#1", "--since", "-10m"]).unwrap().command else {
            panic!()
        };
        assert_eq!(log.since.as_deref(), Some("-10m"));
    }

    #[test]
    fn global_flags_are_taken_before_and_after_the_command() {
        for words in [&["quarterdeck", "--json", "get", "runs"][..], &["quarterdeck", "get", "runs", "--json"]] {
            assert!(Cli::try_parse_from(words).unwrap().global.json);
        }
    }
}
