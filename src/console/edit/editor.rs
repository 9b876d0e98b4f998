//! The person's own editor, in the place of the console for a while: which one, and how it is run.

use std::path::Path;

use tokio::process::{Child, Command};

/// Where nobody says another one.
const FALLBACK: &str = "vi";

/// The words of its command: `VISUAL`, else `EDITOR`, else vi. They may hold arguments, quoted as in a shell; nothing is expanded.
pub fn words(var: impl Fn(&str) -> Option<String>) -> Result<Vec<String>, String> {
    let named = ["VISUAL", "EDITOR"].iter().find_map(|n| Some((*n, var(n).filter(|v| !v.trim().is_empty())?)));
    let Some((name, text)) = named else { return Ok(vec![FALLBACK.to_owned()]) };
    match shell_words::split(&text) {
        Ok(words) if !words.is_empty() => Ok(words),
        _ => Err(format!("{name} is `{text}`: its quotes have no end")),
    }
}

/// Starts it on the terminal of this process.
pub fn start(words: &[String], path: &Path) -> Result<Child, String> {
    let (program, args) = words.split_first().ok_or_else(|| "no editor is named".to_owned())?;
    Command::new(program).args(args).arg(path).spawn().map_err(|e| format!("the editor `{program}` cannot be started: {e}; set EDITOR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn visual_comes_first_and_arguments_are_words() {
        let of = |visual: Option<&str>, editor: Option<&str>| {
            words(|n| if n == "VISUAL" { visual.map(str::to_owned) } else { editor.map(str::to_owned) })
        };
        assert_eq!(of(Some("code -w"), Some("nano")).unwrap(), ["code", "-w"]);
        assert_eq!(of(Some(" "), Some("'/opt/my editor' -n")).unwrap(), ["/opt/my editor", "-n"]);
        assert_eq!(of(None, None).unwrap(), ["vi"]);
        assert!(of(None, Some("'nano")).unwrap_err().contains("EDITOR"));
    }
}
