//! What the help of each command shows as examples. Each can be typed as it stands, once its names are those of the site; a test parses them all.

use clap::{Command, CommandFactory, FromArgMatches};

use super::Cli;

/// A command, and lines to type. Every command that takes a word of its own is here.
const EXAMPLES: &[(&[&str], &[&str])] = &[
    (
        &["approve"],
        &[
            "quarterdeck approve 'promote-latest#12' --comment 'seen with the owner'",
            "quarterdeck approve 'release-iso#4' -p ticket=CHG-1042",
        ],
    ),
    (&["cancel"], &["quarterdeck cancel 'nightly-repo-updates#165' --reason 'upstream is in the middle of a push'"]),
    (&["completions"], &["quarterdeck completions bash >~/.local/share/bash-completion/completions/quarterdeck"]),
    (&["demo", "as"], &["quarterdeck demo as sec-02", "quarterdeck demo as sec-02 get promotions"]),
    (
        &["diff"],
        &[
            "quarterdeck diff el9-latest@stable el9-latest",
            "quarterdeck diff baseos@stable baseos@upstream --packages --filter kernel",
            "quarterdeck diff ./old/repo https://mirror.example.org/repo/ --changelogs",
        ],
    ),
    (
        &["do"],
        &[
            "quarterdeck do pin 'nightly-repo-updates#165' --reason 'shipped to the labs'",
            "quarterdeck do freeze baseos --with until=7d --reason CHG-1042 --confirm baseos",
        ],
    ),
    (
        &["engine", "drain"],
        &["quarterdeck engine drain --until-idle --deadline 2h --reason 'new kernel'", "quarterdeck engine drain --off"],
    ),
    (&["evidence"], &["quarterdeck evidence PR-2026Q2-el9 -o el9.tar.gz"]),
    (
        &["get"],
        &[
            "quarterdeck get queue",
            "quarterdeck get runs --filter 'verdict=failure started>-1d' --sort -duration_ms --limit 20",
            "quarterdeck --json get mirrors baseos",
        ],
    ),
    (
        &["log"],
        &[
            "quarterdeck log 'nightly-repo-updates#165' --follow",
            "quarterdeck log 'nightly-repo-updates#165/HW Info' --grep 'error|denied' -i -C 3",
            "quarterdeck log 'nightly-repo-updates#165' --first-error",
        ],
    ),
    (&["pipeline", "explain"], &["quarterdeck pipeline explain stage.retry", "quarterdeck pipeline explain mirror/sync"]),
    (&["pipeline", "graph"], &["quarterdeck pipeline graph nightly-repo-updates", "quarterdeck pipeline graph ./new.yml --dot"]),
    (&["pipeline", "import"], &["quarterdeck pipeline import Jenkinsfile --name nightly-iso -o nightly-iso.yml"]),
    (&["pipeline", "lint"], &["quarterdeck pipeline lint", "quarterdeck pipeline lint ./new.yml"]),
    (&["pipeline", "plan"], &["quarterdeck pipeline plan repo-updates -p repo=appstream"]),
    (&["replay"], &["quarterdeck replay 'repo-updates#7' -p shrink=allow --reason 'the old branch is gone' --wait"]),
    (&["resume"], &["quarterdeck resume 'nightly-repo-updates#165' --wait"]),
    (&["retry"], &["quarterdeck retry 'formula-tests#31' --wait"]),
    (&["run"], &["quarterdeck run nightly-repo-updates --wait", "quarterdeck run repo-updates -p repo=appstream --reason CHG-1042"]),
    (&["save"], &["quarterdeck save tonight.qd"]),
    (
        &["schedule", "preview"],
        &["quarterdeck schedule preview", "quarterdeck schedule preview --year 2027 --pipeline nightly-repo-updates"],
    ),
    (&["screen"], &["quarterdeck screen home --size 140x40", "quarterdeck screen run 'nightly-repo-updates#165' --format svg"]),
    (&["secret", "get"], &["quarterdeck secret get vault"]),
    (&["secret", "set"], &["quarterdeck secret set vault <token-file"]),
    (&["secret", "test"], &["quarterdeck secret test", "quarterdeck secret test vault"]),
    (&["step"], &["quarterdeck step mirror/sync --with url=https://mirror.example.org/repo/ --with dest=/srv/mirror/repo"]),
    (&["where-used"], &["quarterdeck where-used ./boot.iso"]),
    (&["why"], &["quarterdeck why 'nightly-repo-updates#165'", "quarterdeck why baseos"]),
];

/// What stands above the lines.
pub const HEADING: &str = "Examples:\n";

impl Cli {
    /// The whole command line, with each example in the help of its command.
    pub fn tree() -> Command {
        EXAMPLES.iter().fold(Self::command(), |root, (path, lines)| add(root, path, lines))
    }

    /// The words of this process.
    pub fn of_process() -> Result<Self, clap::Error> {
        Self::from_arg_matches(&Self::tree().try_get_matches()?)
    }
}

fn add(command: Command, path: &'static [&'static str], lines: &'static [&'static str]) -> Command {
    match path {
        [first, rest @ ..] => command.mut_subcommand(*first, |below| add(below, rest, lines)),
        [] => {
            let notes = command.get_after_help().map(|h| format!("{h}\n\n")).unwrap_or_default();
            command.after_help(format!("{notes}{HEADING}  {}", lines.join("\n  ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn each_example_is_a_command_that_is_understood() {
        for (path, lines) in EXAMPLES {
            for line in *lines {
                // The shell's part is not ours.
                let words: Vec<String> = shell_words::split(line).unwrap().into_iter().filter(|w| !w.starts_with(['>', '<'])).collect();
                let named: Vec<&str> =
                    words.iter().skip(1).map(String::as_str).filter(|w| !w.starts_with("--json")).take(path.len()).collect();
                assert_eq!(named, *path, "{line}");
                Cli::try_parse_from(&words).unwrap_or_else(|e| panic!("{line}: {e}"));
            }
        }
    }

    /// Walks every command that people see.
    fn visit(command: &Command, path: &mut Vec<String>, see: &mut dyn FnMut(&Command, &[String])) {
        see(command, path);
        for below in command.get_subcommands().filter(|c| !c.is_hide_set()) {
            path.push(below.get_name().to_owned());
            visit(below, path, see);
            path.pop();
        }
    }

    #[test]
    fn what_takes_a_word_has_an_example_and_every_word_its_help() {
        visit(&Cli::tree(), &mut Vec::new(), &mut |command, path| {
            let shown = |a: &&clap::Arg| !a.is_hide_set() && !matches!(a.get_id().as_str(), "help" | "version");
            for arg in command.get_arguments().filter(shown) {
                assert!(arg.get_help().is_some(), "{path:?} does not say what {} is", arg.get_id());
            }
            let has = command.get_after_help().is_some_and(|h| h.to_string().contains(HEADING));
            assert!(has || command.get_positionals().next().is_none(), "{path:?} takes a word, and shows no example");
        });
    }
}
