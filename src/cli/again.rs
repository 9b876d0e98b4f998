//! Commands that a message names, with the site and the directories that this one was told: typed as they stand, they reach the same engine.

use std::path::Path;

use super::args::Global;

/// What was given before the command, as it is typed again. `absolute`: from whichever directory.
pub fn given(global: &Global, absolute: bool) -> String {
    let dir = |flag: &str, dir: &Option<std::path::PathBuf>| {
        let dir = dir.as_deref()?;
        let dir = if absolute { std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()) } else { dir.to_owned() };
        Some(format!("{flag} {}", quoted(&dir)))
    };
    let site = global.site.as_ref().map(|s| format!("--site {}", shell_words::quote(s)));
    let all = [site, dir("--config-dir", &global.config_dir), dir("--state-dir", &global.state_dir)];
    all.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

fn quoted(path: &Path) -> String {
    shell_words::quote(&path.to_string_lossy()).into_owned()
}

/// `text` with `given` in each command of ours that it names: `quarterdeck`, a blank, and a word of the command line.
pub fn again(text: &str, given: &str) -> String {
    const NAME: &str = "quarterdeck ";
    if given.is_empty() || !text.contains(NAME) {
        return text.to_owned();
    }
    let command = <super::args::Cli as clap::CommandFactory>::command();
    let names: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
    let begins = |rest: &str| {
        let word = rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).next().unwrap_or_default();
        names.contains(&word) || matches!(word, "--json" | "--from")
    };
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(NAME) {
        let (before, after) = rest.split_at(at + NAME.len());
        out.push_str(before);
        // A path or a longer word is no command.
        let alone = !before[..at].ends_with(|c: char| c.is_alphanumeric() || "/-_.".contains(c));
        if alone && begins(after) {
            out.push_str(given);
            out.push(' ');
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn global(site: Option<&str>, state: Option<&str>) -> Global {
        let words = [("--site", site), ("--state-dir", state)];
        let words = words.into_iter().filter_map(|(f, v)| Some([f.to_owned(), v?.to_owned()])).flatten();
        <super::super::args::Cli as clap::Parser>::parse_from(std::iter::once("quarterdeck".to_owned()).chain(words)).global
    }

    #[test]
    fn what_was_given_is_repeated_in_each_command_and_nowhere_else() {
        let given = given(&global(Some("dc 2"), Some("/s")), true);
        assert_eq!(given, "--site 'dc 2' --state-dir /s");
        assert_eq!(
            again("look: quarterdeck why 'a#1'; `quarterdeck engine drain --off` ends it", "--site x"),
            "look: quarterdeck --site x why 'a#1'; `quarterdeck --site x engine drain --off` ends it"
        );
        assert_eq!(again("open it: quarterdeck --from f", "--site x"), "open it: quarterdeck --site x --from f");
        for text in ["a newer quarterdeck wrote it", "/etc/quarterdeck get", "the quarterdeck of before", "quarterdeck"] {
            assert_eq!(again(text, "--site x"), text);
        }
        assert_eq!(again("quarterdeck get runs", ""), "quarterdeck get runs");
    }
}
