//! A careful look into scripts: interpolation that does not happen, deletions through variables that may be empty, secrets under `set -x`.
//!
//! This is no shell parser: it reads words line by line and speaks only about forms that it knows.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use regex::Regex;

use super::outputs;
use crate::pipeline::diagnostic::{Sink, show};
use crate::pipeline::model::{File, ParamType, Stage, Step, StepAction};
use crate::pipeline::plan;
use crate::pipeline::reader::{Node, Style};

/// A script as a shell would get it, for a check by the shell itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Script {
    pub interpreter: Vec<String>,
    pub text: String,
}

/// What the shell said: the script's line (from 1) and the complaint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub line: usize,
    pub message: String,
}

/// `bash -n`, where the caller has one: an effect, so it is handed in.
pub type Checker<'a> = &'a dyn Fn(&Script) -> Vec<Fault>;

/// As `check`, asked once for each script: files of one estate have many in common, and each question is a process.
pub fn once(check: impl Fn(&Script) -> Vec<Fault>) -> impl Fn(&Script) -> Vec<Fault> {
    let known: RefCell<HashMap<Script, Vec<Fault>>> = RefCell::default();
    move |script| known.borrow_mut().entry(script.clone()).or_insert_with(|| check(script)).clone()
}

static DOTTED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\$\{\{?\s*([A-Za-z_][A-Za-z0-9_]*)([.\[][^}\n]*)\}\}?").ok());
pub(super) static VARIABLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)([^}]*)\}|([A-Za-z_][A-Za-z0-9_]*))").ok());
static ASSIGNED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:^|[;&|(\s])(?:export\s+|local\s+|readonly\s+|declare\s+(?:-\w+\s+)*)?([A-Za-z_][A-Za-z0-9_]*)=|\bfor\s+([A-Za-z_][A-Za-z0-9_]*)\s|\bread\s+(?:-\w+\s+)*((?:[A-Za-z_][A-Za-z0-9_]*\s*)+)").ok()
});
static DELETES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:^|[;&|(\s])(?:rm\s+(?:-[A-Za-z-]+\s+)*-(?:[A-Za-z]*[rR][A-Za-z]*|-recursive)\b|rsync\s(?:[^;&|\n]*\s)?--del(?:ete(?:-\w+)*)?(?:\s|$)|find\s[^;&|\n]*\s-delete\b)").ok()
});
static XTRACE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?:^|[;&|(\s])set\s+(?:[-+]\w+\s+)*(?:-[a-wyzA-Z]*x[a-zA-Z]*|-o\s+xtrace)\b|^#!.*\s-[a-z]*x|(?:^|[;&|(\s])(?:ba|z|k|da)?sh\s+-[a-wyz]*x").ok()
});

/// Set in every step, or by any login.
const GIVEN: [&str; 18] = [
    "HOME", "PATH", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "PWD", "OLDPWD", "TMPDIR", "HOSTNAME", "UID", "EUID", "RANDOM", "SECONDS",
    "LINENO", "IFS", "PPID",
];

fn is_shell(interpreter: Option<&[String]>) -> bool {
    interpreter
        .and_then(|i| i.first())
        .is_none_or(|p| matches!(p.rsplit('/').next().unwrap_or(""), "sh" | "bash" | "dash" | "ksh" | "zsh" | "ash"))
}

fn interpreter_of<'a>(file: &'a File, stage: Option<&'a Stage>, step: &'a Step) -> Option<&'a [String]> {
    step.interpreter.as_deref().or_else(|| stage.and_then(|s| s.interpreter.as_deref())).or(file.options.interpreter.as_deref())
}

pub(super) fn lint(file: &File, sink: &mut Sink<'_>) {
    for (stage, step) in file.all_steps() {
        let StepAction::Run(node) = &step.action else { continue };
        let Some(text) = node.text() else { continue };
        let shell = is_shell(interpreter_of(file, stage, step));
        dotted(node, text, shell, file, sink);
        if node_folds(node, sink.text) {
            sink.warning(node.at, "shell.folded", "the lines of this script are joined to one", "write `run: |` to keep them apart");
        }
        if !shell {
            continue;
        }
        first_line(node, text, interpreter_of(file, stage, step), sink);
        let known = known(file, stage, step, text);
        deletions(node, text, &known, sink);
        cells(node, text, stage, &known, sink);
        outputs::lint(node, text, &known, file, sink);
        let secret = step.secrets.iter().chain(stage.iter().flat_map(|s| &s.secrets)).next();
        if let Some(secret) = secret {
            xtrace(node, text, &secret.name.value, sink);
        }
    }
}

/// `#!` names a program, but the interpreter reads the script, and takes that line for a comment.
fn first_line(node: &Node, text: &str, interpreter: Option<&[String]>, sink: &mut Sink<'_>) {
    let Some(line) = text.strip_prefix("#!").and_then(|t| t.lines().next()) else { return };
    let words: Vec<&str> = line.split_whitespace().skip_while(|w| w.ends_with("/env") || *w == "-S").collect();
    let base = |path: &str| path.rsplit('/').next().unwrap_or("").to_owned();
    let reader = interpreter.and_then(|i| i.first()).map_or("/bin/sh", String::as_str);
    if let Some(program) = words.first().filter(|p| base(p) != base(reader)) {
        sink.warning(
            node.locate(sink.text, 0..line.len() + 2),
            "shell.interpreter",
            format!("the first line names `{}`, but `{}` reads this script", show(program), show(reader)),
            format!("say `interpreter: {}`", show(&words.join(" "))),
        );
    }
}

/// Lets a real shell read every script of the file. Only error messages come back: nothing is run.
pub fn with_checker(file: &File, check: Checker<'_>, sink: &mut Sink<'_>) {
    for (stage, step) in file.all_steps() {
        let StepAction::Run(node) = &step.action else { continue };
        let Some(text) = node.text() else { continue };
        let interpreter = interpreter_of(file, stage, step);
        if !is_shell(interpreter) {
            continue;
        }
        let script = Script { interpreter: interpreter.map(<[String]>::to_vec).unwrap_or_default(), text: text.to_owned() };
        for fault in check(&script).into_iter().take(3) {
            let start: usize = text.split_inclusive('\n').take(fault.line.saturating_sub(1)).map(str::len).sum();
            let start = start.min(text.trim_end().len());
            let line = text[start..].lines().next().unwrap_or("");
            let indent = line.len() - line.trim_start().len();
            let at = node.locate(sink.text, start + indent..start + line.len());
            sink.error(
                at,
                "shell.syntax",
                format!("the shell cannot read this: {}", show(&fault.message)),
                "repair the script; quotes, `fi`, `done` and `)` are the usual ones",
            );
        }
    }
}

/// Several source lines that become one.
fn node_folds(node: &Node, source: &str) -> bool {
    let crate::pipeline::reader::Kind::Scalar { style, .. } = &node.kind else { return false };
    match style {
        Style::Literal | Style::Refused => false,
        Style::Folded => {
            node.text().is_some_and(|t| !t.trim().is_empty() && source[node.at.start..node.at.end].trim_end().lines().count() > 2)
        }
        Style::Plain | Style::Quoted => source[node.at.start..node.at.end].trim_end().contains('\n'),
    }
}

fn dotted(node: &Node, text: &str, shell: bool, file: &File, sink: &mut Sink<'_>) {
    const OURS: [&str; 8] = ["params", "matrix", "stages", "run", "repos", "env", "secrets", "have"];
    let Some(re) = &*DOTTED else { return };
    let lines = text.split_inclusive('\n').scan(0, |end, line| {
        *end += line.len();
        Some((*end - line.len(), line))
    });
    let places =
        lines.filter(|(_, l)| !l.trim_start().starts_with('#')).flat_map(|(offset, l)| re.captures_iter(l).map(move |c| (offset, c)));
    for (offset, c) in places {
        if sink.full() {
            return;
        }
        let (Some(whole), root, rest) = (c.get(0), c.get(1).map_or("", |m| m.as_str()), c.get(2).map_or("", |m| m.as_str()).trim()) else {
            continue;
        };
        if (rest.starts_with('[') && !OURS.contains(&root)) || (!shell && !OURS.contains(&root)) {
            continue;
        }
        let name = rest.trim_matches(['.', ' ', '}']);
        let help = match root {
            "params" if file.parameter(name).is_none() => {
                let known = file.parameters.iter().map(|p| p.name.text.as_str());
                match crate::base::suggest::nearest(name, known) {
                    Some(near) => format!("parameters are variables here: did you mean \"${near}\"?"),
                    None => format!("declare `{name}` below `parameters:`, and write \"${name}\""),
                }
            }
            "params" => format!("parameters are variables here: write \"${name}\""),
            "matrix" => format!("matrix keys are variables here: write \"$matrix_{name}\""),
            "env" => format!("write \"${name}\""),
            "stages" => match name.split_once(".outputs.") {
                Some((stage, output)) => {
                    format!("outputs are variables here: write \"${}\"", plan::out_variable(stage.trim_matches(['"', '\'']), output))
                }
                None => "ask for it in `env:` of the step, and use that variable".to_owned(),
            },
            "run" if name == "number" => "write \"$QD_RUN_NUMBER\"".to_owned(),
            "run" => "write \"$QD_RUN\"".to_owned(),
            "secrets" => format!("declare it in `secrets:`; its value is in the file \"$QD_SECRETS_DIR/{name}\""),
            _ => "put it into `env:` of the step, and use that variable".to_owned(),
        };
        let at = node.locate(sink.text, offset + whole.start()..offset + whole.end());
        sink.error(
            at,
            "shell.dotted",
            format!("nothing is interpolated inside `run:`: `{}` would reach the shell as it stands", show(whole.as_str())),
            help,
        );
    }
}

/// Variables that surely have a value. A text parameter whose default is empty may be empty.
fn known(file: &File, stage: Option<&Stage>, step: &Step, text: &str) -> BTreeSet<String> {
    let mut known: BTreeSet<String> = GIVEN.iter().map(|s| (*s).to_owned()).collect();
    let envs = file.env.iter().chain(stage.iter().flat_map(|s| &s.env)).chain(&step.env);
    known.extend(envs.filter(|(_, n)| n.text().is_some_and(|t| !t.is_empty())).map(|(w, _)| w.text.clone()));
    for p in &file.parameters {
        let may_be_empty = match &p.ty {
            ParamType::Text { pattern, min, .. } => {
                let by_pattern = pattern.as_ref().is_some_and(|p| crate::pipeline::schema::regex_of(p).is_ok_and(|r| !r.is_match("")));
                !by_pattern && min.is_none_or(|m| m < 1)
            }
            ParamType::Choice(c) => c.iter().any(String::is_empty),
            _ => false,
        };
        if !may_be_empty {
            known.insert(p.name.text.clone());
        }
    }
    for q in file.stages.iter().flat_map(|s| &s.approve).flat_map(|a| &a.ask) {
        // Of a text only a pattern or a length promises that it is not empty.
        let sure = match &q.ty {
            ParamType::Text { pattern, min, .. } => pattern.is_some() || min.is_some_and(|m| m > 0),
            ParamType::Choice(c) => !c.iter().any(String::is_empty),
            _ => true,
        };
        if sure {
            known.insert(format!("approve_{}", q.name.text));
        }
    }
    if let Some(m) = stage.and_then(|s| s.matrix.as_ref()) {
        known.extend(crate::pipeline::matrix::key_names(m).iter().map(|k| format!("matrix_{k}")));
    }
    let secrets = step.secrets.iter().chain(stage.iter().flat_map(|s| &s.secrets)).filter(|s| s.env);
    known.extend(secrets.map(|s| s.name.value.to_uppercase().replace(['-', '.'], "_")));
    if let Some(re) = &*ASSIGNED {
        for c in re.captures_iter(text) {
            for name in c.iter().skip(1).flatten() {
                known.extend(name.as_str().split_whitespace().map(str::to_owned));
            }
        }
    }
    known
}

/// Lines with their offset; a line that ends in a backslash goes on.
pub(super) fn commands(text: &str) -> Vec<(usize, &str)> {
    let mut out = Vec::new();
    let (mut start, mut offset) = (0, 0);
    for line in text.split_inclusive('\n') {
        offset += line.len();
        if line.trim_end_matches('\n').ends_with('\\') {
            continue;
        }
        if !text[start..offset].trim_start().starts_with('#') {
            out.push((start, &text[start..offset]));
        }
        start = offset;
    }
    if start < text.len() {
        out.push((start, &text[start..]));
    }
    out
}

fn deletions(node: &Node, text: &str, known: &BTreeSet<String>, sink: &mut Sink<'_>) {
    let (Some(deletes), Some(variable)) = (&*DELETES, &*VARIABLE) else { return };
    for (offset, command) in commands(text) {
        // A continued line is one command: the backslash is no end.
        let joined = command.replace("\\\n", "  ");
        let Some(hit) = deletes.find(&joined) else { continue };
        if sink.full() {
            return;
        }
        let verb =
            joined[hit.start()..].trim_start_matches([';', '&', '|', '(', ' ', '\t']).split_whitespace().next().unwrap_or("rm").to_owned();
        for c in variable.captures_iter(&joined) {
            let (Some(whole), Some(name)) = (c.get(0), c.get(1).or(c.get(3))) else { continue };
            let guard = c.get(2).map_or("", |m| m.as_str());
            let fallback = [":-", "-", ":=", "="].iter().find_map(|g| guard.strip_prefix(g)).is_some_and(|d| !d.is_empty());
            let guarded = guard.starts_with(":?") || guard.starts_with('?') || fallback;
            if guarded || whole.start() < hit.start() || known.contains(name.as_str()) || name.as_str().starts_with("QD_") {
                continue;
            }
            let at = node.locate(sink.text, offset + whole.start()..offset + whole.end());
            sink.warning(
                at,
                "shell.delete-unset",
                format!("`{verb}` deletes below `${0}`, which may be empty or unset", name.as_str()),
                format!("write \"${{{0}:?}}\", which stops the script instead; or set {0} in `env:`", name.as_str()),
            );
        }
    }
}

/// `$matrix_KEY` of a key that the matrix has not. One with a value of its own for that case was meant so.
fn cells(node: &Node, text: &str, stage: Option<&Stage>, known: &BTreeSet<String>, sink: &mut Sink<'_>) {
    let Some(variable) = &*VARIABLE else { return };
    let matrix = stage.and_then(|s| s.matrix.as_ref());
    // A cell that is included may have a key of its own.
    let mut keys = matrix.map(crate::pipeline::matrix::key_names).unwrap_or_default();
    keys.extend(matrix.iter().flat_map(|m| &m.include).flat_map(|c| c.value.iter().map(|(w, _)| w.text.as_str())));
    keys.sort_unstable();
    keys.dedup();
    for (offset, command) in commands(text) {
        for c in variable.captures_iter(command) {
            let (Some(whole), Some(name)) = (c.get(0), c.get(1).or(c.get(3))) else { continue };
            let Some(key) = name.as_str().strip_prefix("matrix_") else { continue };
            let guarded = c.get(2).is_some_and(|g| g.as_str().starts_with([':', '-', '=', '?', '+']));
            if guarded || keys.contains(&key) || known.contains(name.as_str()) || sink.full() {
                continue;
            }
            let (message, help) = match crate::base::suggest::nearest(key, keys.iter().copied()) {
                Some(near) => (format!("the matrix has no key `{key}`"), format!("did you mean \"$matrix_{near}\"?")),
                None if keys.is_empty() => (
                    format!("this stage has no matrix, so `${name}` is empty", name = name.as_str()),
                    format!("add `matrix: {{{key}: [...]}}` to the stage, or use another variable"),
                ),
                None => (format!("the matrix has no key `{key}`"), format!("its keys: {}", keys.join(", "))),
            };
            sink.error(node.locate(sink.text, offset + whole.start()..offset + whole.end()), "ref.matrix", message, help);
        }
    }
}

fn xtrace(node: &Node, text: &str, secret: &str, sink: &mut Sink<'_>) {
    let Some(re) = &*XTRACE else { return };
    for (offset, command) in commands(text).into_iter().chain(text.starts_with("#!").then(|| (0, text.lines().next().unwrap_or("")))) {
        if let Some(hit) = re.find(command) {
            let lead = hit.as_str().len() - hit.as_str().trim_start_matches([';', '&', '|', '(', ' ', '\t', '\n']).len();
            let at = node.locate(sink.text, offset + hit.start() + lead..offset + hit.end());
            let switch = if hit.as_str()[lead..].starts_with("set") { "set -x" } else { "-x" };
            sink.warning(
                at,
                "shell.xtrace-secret",
                format!("every command is written to the log, in a step that holds secret `{secret}`"),
                format!("masking hides the value itself, not what is made of it: remove `{switch}`"),
            );
            return;
        }
    }
}
