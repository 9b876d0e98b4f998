//! From a key that changes something to its dialog: the objects are fixed now, read again, and only then is anybody asked.

use indexmap::IndexMap;

use super::{forbidden, lists, own, promotions, subject};
use crate::action::{Action, Target};
use crate::api::types::{Do, PlanDoc, Rule, RunDoc};
use crate::base::duration;
use crate::console::cli_line;
use crate::console::edit::Line;
use crate::console::model::dialog::{Field, Focus, Opening};
use crate::console::model::screen::{Kind, PAGE};
use crate::console::model::{Dialog, Mode, Model, word};
use crate::console::msg::Effect;
use crate::console::question::{Answer, Question};
use crate::domain::level::Level;
use crate::domain::reason::{Asked, Reason};

/// Of so many runs each is told by itself.
const FEW: usize = 5;

/// The key was pressed.
pub fn open(model: &mut Model, action: &'static Action) -> Vec<Effect> {
    if action.always() {
        return at_once(model, action);
    }
    if action.owns() {
        return own::open(model, action.id);
    }
    let action = turned(model, action);
    match begin(model, action, None) {
        Ok(opening) => opened(model, opening),
        Err(why) => {
            model.complain(format!("{}: {why}", action.title));
            Vec::new()
        }
    }
}

/// One key freezes and thaws: what is frozen is thawed.
fn turned(model: &Model, action: &'static Action) -> &'static Action {
    let frozen = || model.under_cursor().is_some_and(|r| !word::text(r, "frozen_until").is_empty());
    match action.id {
        "freeze" if frozen() => crate::action::find("thaw").unwrap_or(action),
        _ => action,
    }
}

/// The palette named what it is to be done to.
pub fn open_on(model: &mut Model, action: &'static Action, target: &str) -> Result<Vec<Effect>, String> {
    let opening = begin(model, action, Some(target.to_owned()))?;
    Ok(opened(model, opening))
}

/// What stops something waits for nothing: no arming, no dialog. It is sent only where somebody listens.
fn at_once(model: &mut Model, action: &'static Action) -> Vec<Effect> {
    let why = why_not(model, action);
    let target = promotions::current(model).ok_or_else(|| "there is no promotion under the cursor".to_owned());
    match (why, target) {
        (Some(why), _) | (None, Err(why)) => {
            model.complain(format!("{}: {why}", action.title));
            Vec::new()
        }
        (None, Ok(target)) => {
            model.say(format!("{} {target}: asked", action.title));
            let reason = match &model.mode {
                Mode::Armed { reason, .. } => reason.clone(),
                Mode::ReadOnly => String::new(),
            };
            vec![Effect::Do(Box::new(Do { action: action.id.to_owned(), target, reason, console: true, ..Do::default() }))]
        }
    }
}

fn opened(model: &mut Model, opening: Opening) -> Vec<Effect> {
    model.say(format!("{}: reading it again first", opening.action.title));
    let asks = opening.waits.iter().cloned().map(Effect::Ask).collect();
    model.asked.extend(opening.waits.iter().cloned());
    model.opening = Some(opening);
    ready(model);
    asks
}

/// Why this key does nothing now; none where it does.
pub fn why_not(model: &Model, action: &Action) -> Option<String> {
    if action.owns() {
        return own::why_not(model);
    }
    let off = if action.always() { model.nobody() } else { model.hands_off() };
    if off.is_some() {
        return off;
    }
    if action.target == Target::Secret || (!of_promotions(action) && action.args.iter().any(|a| a.required)) {
        return Some(format!("the command line does that: {}", action.usage));
    }
    match targets(model, action) {
        Ok((all, _)) => {
            let first = all.iter().find_map(|t| promotions::why_not(model, action, t).or_else(|| forbidden::can_end(model, action, t)));
            first.or_else(|| forbidden::over(model, action, &all))
        }
        Err(why) => Some(why),
    }
}

fn of_promotions(action: &Action) -> bool {
    matches!(action.target, Target::Promotion | Target::Os | Target::Hold | Target::Repo)
}

/// `named`: what the palette says that it is to be done to.
fn begin(model: &Model, action: &'static Action, named: Option<String>) -> Result<Opening, String> {
    let (targets, hidden) = match named {
        Some(target) => {
            if let Some(why) = model.hands_off().or_else(|| promotions::why_not(model, action, &target)) {
                return Err(why);
            }
            (vec![target], Vec::new())
        }
        None => {
            if let Some(why) = why_not(model, action) {
                return Err(why);
            }
            targets(model, action)?
        }
    };
    if of_promotions(action) && targets.len() > 1 {
        return Err("one at a time: each is looked at for itself".to_owned());
    }
    let mut reads = Vec::new();
    for target in targets.iter().filter(|t| !t.is_empty()) {
        match target.parse() {
            Ok(run) if action.target == Target::Run => {
                reads.push(Question::Run(run));
                if asks_people(action) {
                    reads.extend(target.parse().map(Question::Why));
                } else if action.runs() {
                    reads.push(Question::Plan(pipeline_of(target).to_owned()));
                }
            }
            _ if of_promotions(action) => reads.push(promotions::read(action, target)),
            _ => reads.push(Question::Plan(target.clone())),
        }
    }
    reads.sort();
    reads.dedup();
    Ok(Opening { action, on: model.screen().kind.clone(), targets, hidden, waits: reads.clone(), reads })
}

fn asks_people(action: &Action) -> bool {
    matches!(action.id, "approve" | "deny")
}

fn pipeline_of(target: &str) -> &str {
    target.rsplit_once('#').map_or(target, |(p, _)| p)
}

/// What the action would be done to, and those of it that the filter hides: the marked rows, else the one under the cursor.
pub fn targets(model: &Model, action: &Action) -> Result<(Vec<String>, Vec<String>), String> {
    if action.target == Target::Engine {
        return Ok((vec![String::new()], Vec::new()));
    }
    let marks: Vec<String> = model.screen().pane().map(|(_, l)| l.marks.iter().cloned().collect()).unwrap_or_default();
    if marks.is_empty() {
        let id = lists::current(model).ok_or_else(|| nothing(model, action))?;
        return Ok((vec![target(model, action, &id)?], Vec::new()));
    }
    let (shown, mut marks) = (lists::shown(model), marks);
    marks.sort_by(|a, b| crate::base::natural::compare(a, b));
    let (mut all, mut hidden) = (Vec::new(), Vec::new());
    for id in &marks {
        let name = target(model, action, id)?;
        if all.contains(&name) {
            continue;
        }
        if !shown.contains(id) {
            hidden.push(name.clone());
        }
        all.push(name);
    }
    Ok((all, hidden))
}

/// Why there is nothing to do it to: no row, or one that is about something else.
fn nothing(model: &Model, action: &Action) -> String {
    let row = model.screen().pane().and_then(|(pane, list)| list.current(model.table(&pane).0));
    match (row, action.target) {
        (None, _) => "there is no row under the cursor".to_owned(),
        (Some(_), Target::Promotion | Target::Os | Target::Hold | Target::Repo) => {
            promotions::target(model, action, "").err().unwrap_or_default()
        }
        (Some(row), of) => {
            let what = [word::text(row, "what"), word::text(row, "id")].into_iter().find(|t| !t.is_empty()).unwrap_or_default();
            format!("`{what}` has no {}: enter leads to where something can be done about it", kind_of(of))
        }
    }
}

fn kind_of(target: Target) -> &'static str {
    if target == Target::Pipeline { "pipeline" } else { "run" }
}

fn target(model: &Model, action: &Action, id: &str) -> Result<String, String> {
    let here = matches!(model.screen().kind, Kind::Pipeline(_)).then_some("pipelines");
    let what = here.or_else(|| model.screen().pane().map(|(p, _)| p.what));
    match (action.target, what) {
        (Target::Promotion | Target::Os | Target::Hold | Target::Repo, _) => promotions::target(model, action, id),
        (Target::Pipeline, Some("pipelines" | "schedule")) => Ok(id.to_owned()),
        (Target::Pipeline, Some("due" | "occurrences" | "needs")) if !id.contains('#') => Ok(id.to_owned()),
        (Target::Pipeline, Some("repos")) => {
            let rows = model.rows(&Question::Rows { what: "repos", limit: PAGE });
            let row = rows.and_then(|r| r.rows.iter().find(|r| word::text(r, "repo") == id));
            let pipeline = row.map(|r| word::text(r, "pipeline")).filter(|p| !p.is_empty());
            pipeline.ok_or_else(|| format!("no pipeline writes a content set that holds `{id}`"))
        }
        (Target::Pipeline, _) if id.contains('#') => Ok(pipeline_of(id).to_owned()),
        (Target::Run, Some("pipelines")) => {
            let last = subject::pipeline_row(model, id).map(|r| word::text(r, "last_run"));
            last.filter(|l| !l.is_empty()).ok_or_else(|| format!("`{id}` has no run"))
        }
        (Target::Run, _) if id.contains('#') || matches!(model.screen().kind, Kind::Run(_)) => Ok(id.to_owned()),
        (of @ (Target::Run | Target::Pipeline), _) => Err(format!("`{id}` is no {}: 8 shows pipelines and what runs", kind_of(of))),
        _ => Err(format!("`{id}` is nothing that it could be done to")),
    }
}

/// An answer came: opens the dialog once everything was read again.
pub fn answered(model: &mut Model, question: &Question) {
    if let Some(o) = &mut model.opening {
        o.waits.retain(|q| q != question);
        ready(model);
    }
    let Some(d) = &model.dialog else { return };
    let Some((_, before)) = d.basis.iter().find(|(q, _)| q == question) else { return };
    if basis(model, question).as_ref() != Some(before) {
        let title = d.action.title;
        model.dialog = None;
        model.complain(format!("{title}: {} has moved since the key was pressed; nothing was done", subject(question)));
    }
}

fn subject(question: &Question) -> String {
    match question {
        Question::Run(run) | Question::Why(run) => run.to_string(),
        Question::Promotion(id) => id.clone(),
        Question::Plan(name) => format!("the pipeline file of {name}"),
        _ => "what it was judged by".to_owned(),
    }
}

/// What a dialog is judged by, in the engine's own token; none where it cannot be known.
fn basis(model: &Model, question: &Question) -> Option<String> {
    let known = model.known(question).filter(|k| k.error.is_none())?;
    Some(match known.answer.as_ref()? {
        Answer::Run(doc) => doc.basis.clone(),
        Answer::Plan(doc) => doc.basis.clone(),
        Answer::Why(why) => asked(&why.detail).map(|a| a.sha + &a.given.join(" ")).unwrap_or_default(),
        Answer::Promotion(doc) => promotions::basis(doc),
        Answer::Status(_)
        | Answer::Repo(_)
        | Answer::Rows(_)
        | Answer::About(_)
        | Answer::History(_)
        | Answer::Attempts(_)
        | Answer::Log(_)
        | Answer::WhyRepo(_)
        | Answer::Diff(_) => return None,
    })
}

fn ready(model: &mut Model) {
    let Some(opening) = model.opening.take_if(|o| o.waits.is_empty()) else { return };
    let title = opening.action.title;
    if opening.on != model.screen().kind {
        return model.complain(format!("{title}: its screen was left before the engine answered; nothing was done"));
    }
    match dialog(model, opening) {
        Ok(d) => {
            model.notice = None;
            model.dialog = Some(d);
        }
        Err(why) => model.complain(format!("{title}: {why}")),
    }
}

fn error_of(model: &Model, question: &Question) -> Option<String> {
    let known = model.known(question)?;
    known.error.as_ref().map(word::cured)
}

fn plan<'a>(model: &'a Model, pipeline: &str) -> Option<&'a PlanDoc> {
    match model.known(&Question::Plan(pipeline.to_owned()))?.answer.as_ref()? {
        Answer::Plan(p) => Some(p),
        _ => None,
    }
}

fn dialog(model: &Model, o: Opening) -> Result<Dialog, String> {
    // A pipeline that is gone hides nothing of a run that goes on with its own plan.
    let needed = |q: &&Question| o.action.target == Target::Pipeline || !matches!(q, Question::Plan(_));
    if let Some(why) = o.reads.iter().filter(needed).find_map(|q| error_of(model, q)) {
        return Err(why);
    }
    let level = o.targets.iter().map(|t| level(model, o.action, t)).max().unwrap_or(o.action.level);
    let mut with = IndexMap::new();
    let mut facts = vec![("touches".to_owned(), touches(model, &o))];
    let mut fields = Vec::new();
    if !o.hidden.is_empty() {
        let (n, names) = (o.hidden.len(), o.hidden.join(", "));
        let filtered = model.screen().pane().is_some_and(|(_, l)| !l.filter.trim().is_empty() || l.only.is_some());
        let what =
            if filtered { format!("the filter hides {n} of them: {names}") } else { format!("{n} of them are further off: {names}") };
        facts.push(("hidden".to_owned(), what));
    }
    if o.action.target == Target::Run {
        facts.extend(stand(model, &o.targets).into_iter().map(|text| ("now".to_owned(), text)));
    }
    if asks_people(o.action) {
        let [one] = o.targets.as_slice() else { return Err("one at a time: each is looked at for itself".into()) };
        let run = one.parse().map_err(|e: crate::domain::run::BadRunRef| e.to_string())?;
        let why = model.why(&run).ok_or_else(|| format!("why {run} waits is not known"))?;
        let asked = asked(&why.detail).ok_or_else(|| format!("{run} waits for no approval"))?;
        facts.extend(ballot(&asked, &why.reasons));
        with.insert("sha".to_owned(), asked.sha.clone());
        with.extend(asked.stage.clone().map(|s| ("stage".to_owned(), s)));
        if o.action.id == "approve" {
            let field = |(name, kind): &(String, String)| Field {
                name: name.clone(),
                kind: kind.clone(),
                default: asked.answered.contains(name).then(String::new),
                about: String::new(),
                rule: Rule::Unknown,
                line: Line::default(),
            };
            fields = asked.questions.iter().map(field).collect();
        }
    }
    if o.action.id == "run" {
        fields = parameters(model, &o.targets)?;
    }
    let mut word = String::new();
    if let (true, [one]) = (of_promotions(o.action), o.targets.as_slice()) {
        facts.extend(promotions::facts(model, o.action, one));
        with.extend(promotions::with(model, o.action, one));
        fields = promotions::fields(model, o.action, one);
        word = promotions::word(model, o.action, one);
    }
    let undo = match o.targets.as_slice() {
        [one] if o.action.target == Target::Promotion => o.action.undo.replace("PROMOTION", one),
        _ => o.action.undo.to_owned(),
    };
    facts.push(("undo".to_owned(), undo));
    facts.push(("cost".to_owned(), cost(model, &o)));
    if level == Level::L3 {
        facts.insert(0, ("level".to_owned(), two_people(model, &o)?.to_owned()));
    }
    // What must be given is asked for first.
    let filling = (o.action.id == "run" && !fields.is_empty()) || (of_promotions(o.action) && fields.iter().any(|f| f.default.is_none()));
    let basis = o.reads.iter().filter_map(|q| Some((q.clone(), basis(model, q)?))).collect();
    let focus = if filling { Focus::Field(0) } else { Focus::Cancel };
    let dialog = Dialog::about(o.action, o.targets, model.frame);
    Ok(Dialog { hidden: o.hidden, level, facts, fields, filling, with, basis, word, focus, ..dialog })
}

/// What becomes of an act at L3; an error where nobody could ever agree to it, before its name is typed.
fn two_people(model: &Model, o: &Opening) -> Result<&'static str, String> {
    match model.status().map_or("", |s| s.second_person.as_str()) {
        "refused" => Err(format!(
            "{} is L3 and needs a second person, and this engine has one user; `second_person = \"none\"` in site.toml lets it pass, marked as \
             a single person's",
            o.targets.join(", ")
        )),
        "single" => Ok("L3: meant for two people; this site lets one do it, and marks it as a single person's"),
        _ => Ok("L3: this only asks for it: a second person must agree, with A on its page"),
    }
}

/// As far as the console knows; the engine has the last word.
fn level(model: &Model, action: &Action, target: &str) -> Level {
    if action.runs() {
        return plan(model, pipeline_of(target)).map_or(action.level, |p| p.level.max(action.level));
    }
    if action.id == "cancel" && model.status().is_some_and(|s| !s.private && !asked_by(model, target, &s.you)) {
        return Level::L2.max(action.level);
    }
    action.level
}

fn asked_by(model: &Model, run: &str, who: &str) -> bool {
    let rows = model.rows(&Question::Rows { what: "runs", limit: PAGE });
    let row = rows.and_then(|r| r.rows.iter().find(|r| word::text(r, "run") == run));
    row.is_some_and(|r| word::text(r, "requested_by") == who)
}

fn touches(model: &Model, o: &Opening) -> String {
    let several = |what: &str| format!("{} {what}: {}", o.targets.len(), o.targets.join(", "));
    match (o.action.target, o.targets.as_slice()) {
        (Target::Engine, _) => "the engine as a whole".to_owned(),
        (Target::Os, [one]) if o.action.id == "promote" => format!("a new promotion of {one}: nothing moves before its soak"),
        (Target::Os, [one]) => format!("the next candidate of {one}"),
        (Target::Repo, [one]) if o.action.id == "freeze" => format!("{one}: its syncs do nothing until then"),
        (Target::Pipeline, [one]) => {
            let mut out = format!("one new run of {one}");
            if let Some(p) = plan(model, one) {
                out.push_str(&format!(": {}", p.stages.join(", ")));
                for (what, names) in [("writes", &p.writes), ("reads", &p.reads), ("locks", &p.locks), ("gets secrets", &p.secrets)] {
                    if !names.is_empty() {
                        out.push_str(&format!("; {what} {}", names.join(", ")));
                    }
                }
            }
            out
        }
        (Target::Pipeline, _) => several("new runs, one of each"),
        (_, [one]) => one.clone(),
        (Target::Promotion, _) => several("promotions"),
        (Target::Os | Target::Hold | Target::Repo, _) => several("objects"),
        (Target::Run | Target::Secret | Target::Problem, _) => several("runs"),
    }
}

/// How the runs stand: each with its detail while they are few, else those of one outcome together, and first what has not ended.
fn stand(model: &Model, runs: &[String]) -> Vec<String> {
    let mut docs: Vec<&RunDoc> = runs.iter().filter_map(|r| model.run(&r.parse().ok()?)).collect();
    if docs.len() <= FEW {
        return docs.into_iter().map(now).collect();
    }
    docs.sort_by_key(|d| d.verdict.is_some());
    let mut by: IndexMap<&str, Vec<&str>> = IndexMap::new();
    for doc in docs {
        by.entry(doc.verdict.as_ref().unwrap_or(&doc.state)).or_default().push(&doc.run);
    }
    by.into_iter().map(|(outcome, names)| format!("{} {outcome}: {}", names.len(), names.join(", "))).collect()
}

fn now(doc: &RunDoc) -> String {
    let outcome = doc.verdict.as_ref().unwrap_or(&doc.state);
    let detail = if doc.detail.is_empty() { String::new() } else { format!(": {}", doc.detail) };
    format!("{} is {outcome}{detail}", doc.run)
}

fn cost(model: &Model, o: &Opening) -> String {
    if matches!(o.action.id, "promote-soak" | "promote-start" | "promote-resume" | "promote-rollback") {
        return "a run of its own: an executor while it works".to_owned();
    }
    if !o.action.runs() {
        return "no time of an executor".to_owned();
    }
    let usual: Vec<Option<u64>> = o.targets.iter().map(|t| plan(model, pipeline_of(t)).and_then(|p| p.usual_ms)).collect();
    match usual.iter().copied().collect::<Option<Vec<u64>>>() {
        Some(all) if all.len() == 1 => format!("usually {}", duration::short(all[0])),
        Some(all) => format!("usually {} in all", duration::short(all.iter().sum())),
        None => "unknown: no run of it has succeeded yet".to_owned(),
    }
}

/// Whether this run stands still until people agree, as far as the engine has told: its start, or a stage of it.
pub fn waits_for_people(model: &Model, run: &crate::domain::run::RunRef) -> bool {
    model.run(run).is_some_and(|d| d.verdict.is_none()) && model.why(run).is_some_and(|w| asked(&w.detail).is_some())
}

/// The first thing that waits for people.
fn asked(detail: &[serde_json::Value]) -> Option<Asked> {
    detail.iter().find_map(|v| match serde_json::from_value(v.clone()) {
        Ok(Reason::Approval(asked)) => Some(*asked),
        _ => None,
    })
}

fn ballot(asked: &Asked, reasons: &[String]) -> Vec<(String, String)> {
    let missing = asked.quorum.saturating_sub(u32::try_from(asked.given.len()).unwrap_or(u32::MAX));
    let given = if asked.given.is_empty() { "nobody yet".to_owned() } else { asked.given.join(", ") };
    let stage = asked.stage.as_ref().map_or_else(|| "the start of the run".to_owned(), |s| format!("stage {s}"));
    let mut out = vec![
        ("about".to_owned(), stage),
        ("missing".to_owned(), format!("{missing} of {}; given by {given}", asked.quorum)),
        ("sha".to_owned(), asked.sha.chars().take(12).collect()),
    ];
    let told = reasons.iter().filter_map(|r| {
        let (what, rest) = r.split_once(": ")?;
        matches!(what, "may approve" | "nobody may approve" | "look first").then(|| match what {
            "look first" => ("look".to_owned(), rest.to_owned()),
            _ => ("who".to_owned(), r.clone()),
        })
    });
    out.extend(told);
    out
}

fn parameters(model: &Model, targets: &[String]) -> Result<Vec<Field>, String> {
    let [one] = targets else {
        let needs = |t: &&String| plan(model, t).is_some_and(|p| p.parameters.iter().any(|p| p.default.is_none()));
        return match targets.iter().find(needs) {
            Some(name) => Err(format!("{name} needs parameters: run it by itself")),
            None => Ok(Vec::new()),
        };
    };
    let all = plan(model, one).map(|p| p.parameters.as_slice()).unwrap_or_default();
    let field = |p: &crate::api::types::ParameterDoc| Field {
        name: p.name.clone(),
        kind: p.kind.clone(),
        default: p.default.clone(),
        about: p.description.clone(),
        rule: p.rule.clone(),
        line: Line::from(p.default.as_deref().unwrap_or_default()),
    };
    Ok(all.iter().map(field).collect())
}

/// The command that does what the dialog asks about, as it stands now; one a line.
pub fn command(model: &Model, d: &Dialog) -> String {
    let reason = match &model.mode {
        Mode::Armed { reason, .. } => reason.as_str(),
        Mode::ReadOnly => "",
    };
    let with = d.arguments();
    let confirm = |target: &str| (d.level >= Level::L2).then(|| if d.word.is_empty() { target.to_owned() } else { d.word.clone() });
    let line = |target: &String| {
        let confirm = confirm(target);
        cli_line::write(cli_line::Line { action: d.action, target, with: &with, reason, confirm: confirm.as_deref() })
    };
    model.to_type(&d.targets.iter().map(line).collect::<Vec<_>>().join("\n"))
}
