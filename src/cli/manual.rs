//! `completions` and `man`: written by clap from the tree itself.

use clap::CommandFactory;

use super::args::Cli;
use super::failure::{Failure, Outcome};
use super::out::Out;

pub fn completions(out: &Out, shell: clap_complete::Shell) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "quarterdeck", &mut text);
    print(out, &text);
    Ok(())
}

/// One page with every command: the top in man's form, each command's own page after it.
pub fn man(out: &Out) -> Outcome {
    let mut text = Vec::new();
    let fail = |e: std::io::Error| Failure::bad(format!("the manual cannot be written: {e}"), "");
    let command = Cli::command();
    clap_mangen::Man::new(command.clone()).render(&mut text).map_err(fail)?;
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set()) {
        let page = clap_mangen::Man::new(sub.clone());
        let mut part = Vec::new();
        page.render_synopsis_section(&mut part).map_err(fail)?;
        page.render_description_section(&mut part).map_err(fail)?;
        page.render_options_section(&mut part).map_err(fail)?;
        let part = String::from_utf8_lossy(&part).replace(".SH NAME", ".SS NAME").replace(".SH ", ".SS ");
        text.extend(format!(".SH \"QUARTERDECK {}\"\n", sub.get_name().to_uppercase()).into_bytes());
        text.extend(part.into_bytes());
    }
    print(out, &text);
    Ok(())
}

/// As it is, or as the one value that `--json` promises.
fn print(out: &Out, text: &[u8]) {
    if out.json {
        out.value(&serde_json::json!({"text": String::from_utf8_lossy(text)}));
    } else {
        out.raw(text);
    }
}
