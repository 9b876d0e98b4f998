//! Any sequence of actions, and any bytes of a terminal, on every screen with what it shows: the engine answers all that is asked, so that
//! dialogs open, are filled in and are void again. Nothing is changed but through a dialogue that was seen.

use proptest::prelude::*;

use super::tests::{done, parameter, plan};
use super::*;
use crate::action;
use crate::api::types::{Armed, PlanDoc};
use crate::console::command::names;
use crate::console::keymap::{Code, Key, Keymap, Scope};
use crate::console::model::Dialog;
use crate::console::model::screen::Kind;
use crate::console::msg::Effect;
use crate::console::rhythm::Rhythm;
use crate::console::shot;
use crate::console::term::keys::{Parser, Token};
use crate::console::view::tests::{filled, kinds, said};
use crate::domain::level::Level;
use crate::theme::{Glyphs, Look, Theme};

/// One thing that happens.
#[derive(Debug, Clone)]
enum Happens {
    /// Keys one after the other, each by hand or held down.
    Keys(Vec<Key>, bool),
    Burst(Key),
    Paste(String),
    /// The frame that shows the state as it is now was written.
    Shown,
    Up(bool),
    Changed(usize),
    Size(u16, u16),
    Click(usize, usize),
    Wheel(bool),
    Seconds(i64),
    /// What a person does who means it: to the end of the dialogue in front.
    Means,
}

fn typed(text: &str) -> Vec<Key> {
    text.chars().map(|c| if c == '\n' { Key::plain(Code::Enter) } else { Key::char(c) }).collect()
}

/// Every key that the default keymap knows, on whichever screen.
fn bound() -> Vec<Vec<Key>> {
    let keys = Keymap::default_keys();
    let written = Scope::ALL.iter().flat_map(|(_, scope)| names().flat_map(|n| keys.all_of(*scope, &n)).collect::<Vec<_>>());
    let mut all: Vec<Vec<Key>> = written.map(|w| w.split(' ').map(|k| k.parse().unwrap()).collect()).collect();
    all.sort();
    all.dedup();
    assert!(all.len() > 80, "{}", all.len());
    all
}

fn happens() -> impl Strategy<Value = Happens> {
    let known = (prop::sample::select(bound()), any::<bool>()).prop_map(|(k, held)| Happens::Keys(k, held));
    let capital =
        prop::sample::select(bound().into_iter().filter(|k| matches!(k.last().unwrap().code, Code::Char('A'..='Z'))).collect::<Vec<_>>());
    let capital = capital.prop_map(|k| Happens::Keys(k, false));
    let words: Vec<String> = names().map(|n| format!(":{n}\n")).collect();
    let word = prop::sample::select(words).prop_map(|w| Happens::Keys(typed(&w), false));
    let line = prop::sample::select(vec![
        ":arm 15m why\n",
        ":ack nightly 8h why\n",
        ":unack nightly\n",
        ":do-freeze baseos9\n",
        "/x\n",
        "y",
        "yes\n",
        "\n",
    ]);
    let line = line.prop_map(|w| Happens::Keys(typed(w), false));
    let plain = prop::sample::select(vec![
        Code::Enter,
        Code::Esc,
        Code::Tab,
        Code::BackTab,
        Code::Up,
        Code::Down,
        Code::Backspace,
        Code::Char('y'),
        Code::Char('n'),
    ]);
    let plain = (plain, any::<bool>()).prop_map(|(c, held)| Happens::Keys(vec![Key::plain(c)], held));
    prop_oneof![
        8 => known, 8 => capital, 4 => word, 3 => line, 6 => plain,
        1 => any::<char>().prop_map(|c| Happens::Burst(Key::char(c))),
        1 => ".*".prop_map(Happens::Paste),
        6 => Just(Happens::Shown),
        1 => any::<bool>().prop_map(Happens::Up),
        2 => (0usize..6).prop_map(Happens::Changed),
        1 => (0u16..200, 0u16..60).prop_map(|(w, h)| Happens::Size(w, h)),
        1 => (0usize..3, 0usize..20).prop_map(|(l, r)| Happens::Click(l, r)),
        1 => any::<bool>().prop_map(Happens::Wheel),
        1 => (1i64..2_000).prop_map(Happens::Seconds),
        4 => Just(Happens::Means),
    ]
}

/// What the console was like before a message: all that a change is judged by.
struct Before {
    dialog: Option<Dialog>,
    line: Option<String>,
    up: bool,
    armed: bool,
    always: bool,
}

impl Before {
    fn of(m: &Model) -> Self {
        Self {
            dialog: m.dialog.clone(),
            line: m.prompt.as_ref().map(|p| p.line.text().to_owned()),
            up: m.link == Link::Up,
            armed: matches!(m.mode, Mode::Armed { .. }),
            always: m.dialog.is_none() && m.prompt.is_none(),
        }
    }

    /// Whether a message may have led to this.
    fn allows(&self, msg: &str, by_hand: bool, effect: &Effect) -> Result<(), String> {
        let fail = |why: &str| Err(format!("{why}: {effect:?} of {msg}"));
        let line = self.line.as_deref().unwrap_or_default().trim().to_owned();
        match effect {
            Effect::Arm(_) if !(by_hand && self.up && line.starts_with("arm ")) => fail("armed without its line"),
            Effect::Do(_) if !self.up => fail("nobody was there to be told"),
            Effect::Do(_) if !by_hand => fail("no hand did it"),
            Effect::Do(d) => {
                let action = action::find(&d.action).unwrap();
                if action.owns() {
                    let asked = line.split(' ').next().unwrap_or_default().trim_start_matches("do-") == action.id;
                    return if asked && d.console { Ok(()) } else { fail("it was not asked for in so many words") };
                }
                if action.always() && self.always {
                    return Ok(());
                }
                let Some(q) = self.dialog.as_ref() else { return fail("nobody was asked") };
                if !q.shown || !self.armed || q.action.id != d.action || !q.targets.contains(&d.target) || q.filling {
                    return fail("the question was not seen, not armed, or another one");
                }
                if q.level >= Level::L2 && q.typed != q.phrase() {
                    return fail("the name was not typed");
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// The engine of the views' tests; of each pipeline a plan, some of which are dangerous or ask for a value.
fn engine_says(question: &Question) -> Result<Answer, ApiError> {
    let Question::Plan(name) = question else { return question.read(said(question).to_string().as_bytes()) };
    let level = [Level::L1, Level::L2][name.len() % 2];
    let asks = if level == Level::L2 { vec![parameter("ticket", None)] } else { vec![parameter("note", Some("x"))] };
    Ok(Answer::Plan(Box::new(PlanDoc { pipeline: name.clone(), ..plan(level, asks) })))
}

/// Takes a message and all that the engine answers to it.
fn take(m: &mut Model, msg: Msg, by_hand: bool) -> Result<Vec<Effect>, String> {
    let (before, told) = (Before::of(m), format!("{msg:?}"));
    let effects = update(m, msg);
    for effect in &effects {
        before.allows(&told, by_hand, effect)?;
    }
    whole(m)?;
    for question in effects.iter().filter_map(|e| if let Effect::Ask(q) = e { Some(q.clone()) } else { None }) {
        let result = engine_says(&question);
        let more = take(m, Msg::Answer { question, result }, false)?;
        if let Some(e) = more.iter().find(|e| matches!(e, Effect::Do(_) | Effect::Arm(_))) {
            return Err(format!("an answer did it: {e:?}"));
        }
    }
    Ok(effects)
}

/// The stack is never empty, each list's cursor and marks are on rows, and the focus on a list.
fn whole(m: &Model) -> Result<(), String> {
    if m.stack.is_empty() {
        return Err("the stack is empty".into());
    }
    let s = m.screen();
    if !s.lists.is_empty() && s.focus >= s.lists.len() {
        return Err(format!("the focus is on list {} of {}", s.focus, s.lists.len()));
    }
    if let Some((pane, list)) = s.pane() {
        if list.at >= list.len().max(1) {
            return Err(format!("the cursor is at {} of {}", list.at, list.len()));
        }
        let rows = m.table(&pane).0;
        if let Some(row) = list.current(rows)
            && !rows.iter().any(|r| pane.id(r) == pane.id(row))
        {
            return Err(format!("{} of {} is under the cursor and no row", pane.id(row), pane.what));
        }
    }
    Ok(())
}

fn armed(kind: Kind) -> Model {
    let mut m = filled(kind, (100, 30));
    let until = (m.now + jiff::SignedDuration::from_mins(50)).to_string();
    update(&mut m, Msg::Armed(Ok(Armed { lease: 7, who: "ann".into(), reason: "night".into(), until })));
    assert!(m.hands_off().is_none(), "{:?}", m.hands_off());
    m
}

fn shown(m: &mut Model) -> Result<(), String> {
    let frame = m.frame;
    take(m, Msg::Shown(frame), false).map(drop)
}

/// To the end of what is asked, as somebody does who means it. What was sent.
fn means(m: &mut Model) -> Result<Vec<Effect>, String> {
    let mut out = Vec::new();
    for _ in 0..12 {
        shown(m)?;
        let Some(d) = m.dialog.clone() else { break };
        let keys = match d.level {
            _ if d.filling => {
                let missing = d.fields.iter().any(crate::console::model::dialog::Field::missing);
                let some = if missing { vec![Key::char('1'), Key::plain(Code::Right)] } else { Vec::new() };
                some.into_iter().chain([Key::plain(Code::Enter)]).collect()
            }
            Level::L0 | Level::L1 => typed("y"),
            _ => vec![Key::plain(Code::BackTab)].into_iter().chain(typed(&format!("{}\n", d.phrase()))).collect(),
        };
        for key in keys {
            out.extend(take(m, Msg::Key { key, repeat: false }, true)?);
        }
    }
    Ok(out)
}

fn happen(m: &mut Model, what: Happens) -> Result<Vec<Effect>, String> {
    let tables = ["runs", "pipelines", "repos", "promotions", "control", "armed"];
    Ok(match what {
        Happens::Keys(keys, held) => {
            let mut out = Vec::new();
            for key in keys {
                out.extend(take(m, Msg::Key { key, repeat: held }, !held)?);
            }
            out
        }
        Happens::Burst(key) => take(m, Msg::Burst(key), false)?,
        Happens::Paste(text) => take(m, Msg::Paste(text), false)?,
        Happens::Shown => {
            shown(m)?;
            Vec::new()
        }
        Happens::Up(true) => take(m, Msg::Link(LinkMsg::Up), false)?,
        Happens::Up(false) => take(m, Msg::Link(LinkMsg::Down("x".into())), false)?,
        Happens::Changed(n) => {
            let ids = vec!["nightly#12".to_owned(), "baseos9".to_owned()];
            take(m, Msg::Link(LinkMsg::Changed([(tables[n % tables.len()].to_owned(), ids)].into())), false)?
        }
        Happens::Size(width, height) => take(m, Msg::Resize { width, height }, false)?,
        Happens::Click(list, row) => take(m, Msg::Click(crate::console::msg::Hit { list, row }), false)?,
        Happens::Wheel(down) => take(m, Msg::Wheel { down }, false)?,
        Happens::Seconds(s) => {
            let to = m.now + jiff::SignedDuration::from_secs(s);
            take(m, Msg::Tick(to), false)?
        }
        Happens::Means => means(m)?,
    })
}

fn drawn(m: &Model) {
    let _ = shot::draw(m, &Look { theme: Theme::plain(), glyphs: Glyphs::ASCII });
}

/// The property is worth something: from every screen that has such a key, somebody who means it gets through.
#[test]
fn who_means_it_gets_through() {
    let sent = |kind: Kind, keys: &str| {
        let mut m = armed(kind);
        for key in keys.split(' ') {
            happen(&mut m, Happens::Keys(vec![key.parse().unwrap()], false)).unwrap();
        }
        let all = means(&mut m).unwrap();
        done(&all).into_iter().map(|d| d.action).collect::<Vec<_>>()
    };
    assert_eq!(sent(Kind::Jobs, "B"), ["run"]);
    assert_eq!(sent(Kind::Runs, "X"), ["cancel"]);
    assert_eq!(sent(Kind::Promotions, "D").len() + sent(Kind::Promotions, "V").len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Any actions on any screen, with dialogs that open, are shown, and are gone through.
    #[test]
    fn any_actions_leave_a_whole_console_and_change_nothing_unasked(
        kind in prop::sample::select(kinds()), all in prop::collection::vec(happens(), 0..40)
    ) {
        let mut m = armed(kind);
        for what in all {
            if let Err(why) = happen(&mut m, what) {
                prop_assert!(false, "{}", why);
            }
        }
        drawn(&m);
    }

    /// Any bytes whatever, at any pace, cut anywhere, with no frame shown: a dialog that nobody has seen takes nothing.
    #[test]
    fn no_bytes_change_anything_while_no_dialog_is_seen(
        kind in prop::sample::select(kinds()),
        all in prop::collection::vec((prop_oneof![
            3 => prop::collection::vec(any::<u8>(), 0..12),
            5 => "[ -~\r\t]{0,8}".prop_map(String::into_bytes),
            2 => prop::sample::select(bound()).prop_map(|k| k.iter().map(ToString::to_string).collect::<String>().into_bytes()),
            1 => prop::sample::select(vec!["y\r", "\x1b[200~y\r\x1b[201~", "\x1b[200~:arm 9m x\r", "\x1b[201~", "\x1b[A", "\x1b"]).prop_map(|t| t.as_bytes().to_vec()),
        ], 0i64..400), 0..40)
    ) {
        let mut m = armed(kind);
        let (mut parser, mut rhythm, mut clock, mut tokens) = (Parser::default(), Rhythm::default(), m.now, Vec::new());
        for (bytes, gap) in all {
            clock += jiff::SignedDuration::from_millis(gap);
            parser.feed(&bytes, &mut tokens);
            if gap > 100 {
                parser.flush(&mut tokens);
            }
            for token in tokens.drain(..) {
                let msg = match token {
                    Token::Key(key) => rhythm.take(key, false, clock),
                    Token::Paste(text) => Msg::Paste(text),
                    Token::Reply(_) | Token::Mouse(_) => continue,
                };
                let by_hand = matches!(msg, Msg::Key { repeat: false, .. });
                match take(&mut m, msg, by_hand) {
                    // What needs no dialog is a halt, and a line that was typed whole.
                    Ok(effects) => {
                        let free = |d: &crate::api::types::Do| action::find(&d.action).is_some_and(|a| a.always() || a.owns());
                        prop_assert!(done(&effects).iter().all(free), "{:?}", effects);
                    }
                    Err(why) => prop_assert!(false, "{}", why),
                }
            }
        }
        drawn(&m);
    }
}
