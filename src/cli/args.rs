//! The command line as clap sees it: names, flags, help. What a command does is in its own file.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Run pipelines, watch the estate. Every change to it is a run of the embedded runner.
#[derive(Debug, Parser)]
#[command(name = "quarterdeck", version, about, max_term_width = 100, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 the thing asked about failed, 2 wrong use or bad input, 3 no engine or far end,\n\
    4 refused, 5 cancelled, 6 lost.")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
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
    #[arg(long, global = true, help_heading = "Global")]
    pub json: bool,
    /// Colours
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", help_heading = "Global")]
    pub color: Color,
    /// What the engine logs: error, warn, info, debug, trace, or tracing's filter language
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL", help_heading = "Global")]
    pub log_level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List every action with its level and roles
    Actions,
    /// Print the completion script of a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual page
    Man,
    /// Where secrets come from
    Secret {
        #[command(subcommand)]
        command: Secret,
    },
    /// The site: make one, check it
    Site {
        #[command(subcommand)]
        command: Site,
    },
    /// Run one native step by hand
    Step(Step),
}

#[derive(Debug, Subcommand)]
pub enum Secret {
    /// List the names and where their values come from
    List,
    /// Show where a value comes from; never the value
    Get { name: String },
    /// Fetch a value and throw it away; says only whether there is one
    Test {
        /// None = all
        name: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Site {
    /// Make the site's files; what is there stays
    Init,
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

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((k, v)) if !k.is_empty() => Ok((k.to_owned(), v.to_owned())),
        _ => Err("write NAME=VALUE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_flags_are_taken_before_and_after_the_command() {
        for words in [&["quarterdeck", "--json", "actions"][..], &["quarterdeck", "actions", "--json"]] {
            assert!(Cli::try_parse_from(words).unwrap().global.json);
        }
    }
}
