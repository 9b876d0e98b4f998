//! `completions` and `man`: written by clap from the tree itself.

use std::io;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command};
use clap_mangen::Man;

use super::args::Cli;
use super::failure::{Failure, Outcome};
use super::out::Out;
use super::screen;
use crate::api::types::TABLES;

pub fn completions(out: &Out, shell: clap_complete::Shell) -> Outcome {
    print(out, &script(shell));
    Ok(())
}

/// The script of a shell. It knows the words that commands themselves look up, so that they can say more of one that is wrong.
fn script(shell: clap_complete::Shell) -> Vec<u8> {
    let actions = crate::action::ALL.iter().map(|a| a.id).collect();
    let words = [("get", "what", TABLES.to_vec()), ("screen", "name", screen::names()), ("do", "action", actions)];
    let mut tree = words.into_iter().fold(Cli::tree(), |tree, (command, argument, words)| {
        let known = |a: Arg| if a.get_id() == argument { a.value_parser(PossibleValuesParser::new(words.clone())) } else { a };
        tree.mut_subcommand(command, |c| c.mut_args(known))
    });
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut tree, "quarterdeck", &mut text);
    text
}

pub fn man(out: &Out) -> Outcome {
    let page = page().map_err(|e| Failure::bad(format!("the manual cannot be written: {e}"), ""))?;
    print(out, page.as_bytes());
    Ok(())
}

/// One page with every command: the top in man's form, then each command, and those below it.
fn page() -> io::Result<String> {
    let root = Cli::tree();
    let top = Man::new(root.clone()).manual("User Commands");
    let mut text = Vec::new();
    top.render_title(&mut text)?;
    top.render_name_section(&mut text)?;
    top.render_synopsis_section(&mut text)?;
    top.render_description_section(&mut text)?;
    top.render_options_section(&mut text)?;
    let mut text = roff(text);
    text += &notes(&root, ".SH EXIT STATUS");
    below(&root, root.get_name(), &mut text)?;
    Ok(text)
}

fn below(command: &Command, name: &str, text: &mut String) -> io::Result<()> {
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        let name = format!("{name} {}", sub.get_name());
        let page = Man::new(sub.clone().bin_name(name.clone()));
        let mut part = Vec::new();
        page.render_synopsis_section(&mut part)?;
        page.render_description_section(&mut part)?;
        page.render_options_section(&mut part)?;
        *text += &format!(".SH \"{}\"\n", name.to_uppercase());
        *text += &roff(part).replace(".SH ", ".SS ");
        *text += &notes(sub, ".SS NOTES");
        below(sub, &name, text)?;
    }
    Ok(())
}

/// What stands below the help of a command: a paragraph, and examples, whose lines stay lines.
fn notes(command: &Command, heading: &str) -> String {
    let said = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let (words, examples) = said.split_once(super::args::EXAMPLES_HEADING).unwrap_or((&said, ""));
    let mut text = String::new();
    if !words.trim().is_empty() {
        text += &format!("{heading}\n{}\n", escaped(words.trim()));
    }
    if !examples.is_empty() {
        let lines: Vec<String> = examples.lines().map(|l| escaped(l.trim_start())).collect();
        text += &format!(".SS EXAMPLES\n.nf\n{}\n.fi\n", lines.join("\n"));
    }
    text
}

/// Text that means itself: no sign of it is a command of the formatter.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}

/// A part as clap writes it, without blanks at the ends of lines.
fn roff(part: Vec<u8>) -> String {
    String::from_utf8_lossy(&part).lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

/// As it is, or as the one value that `--json` promises.
fn print(out: &Out, text: &[u8]) {
    if out.json {
        out.value(&serde_json::json!({"text": String::from_utf8_lossy(text)}));
    } else {
        out.raw(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_completes_tables_screens_and_actions() {
        // Those whose scripts clap gives the values of arguments.
        for shell in [clap_complete::Shell::Bash, clap_complete::Shell::Zsh] {
            let script = String::from_utf8(script(shell)).unwrap();
            for word in ["occurrences", "jobs", "force-finish"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }

    #[test]
    fn the_page_has_every_command_with_all_its_options() {
        let page = page().unwrap();
        for what in [
            ".SH \"QUARTERDECK ENGINE DRAIN\"",
            "\\fBquarterdeck engine drain\\fR",
            "\\-\\-until\\-idle",
            ".SH \"QUARTERDECK PIPELINE IMPORT\"",
            "\\-\\-output",
            "quarterdeck schedule preview \\-\\-year 2027",
            "Exit codes: 0 done",
        ] {
            assert!(page.contains(what), "{what}\n{page}");
        }
        assert!(page.lines().all(|l| l == l.trim_end()) && !page.contains("secret\\-service"), "{page}");
    }
}
