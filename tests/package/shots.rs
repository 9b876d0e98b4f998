//! The pictures of `screenshots/`: each drawn from the committed state at its moment, and from nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use quarterdeck::api::ApiError;
use quarterdeck::base::zone;
use quarterdeck::console::keymap::Keymap;
use quarterdeck::console::model::Screen;
use quarterdeck::console::model::screen::Kind;
use quarterdeck::console::msg::{Effect, LinkMsg, Msg};
use quarterdeck::console::{Model, Site, shot, svg, update};
use quarterdeck::theme::{Depth, Glyphs, Look, Theme, built_in};
use ratatui::buffer::Buffer;
use serde_json::Value;
use serde_json::value::RawValue;

/// File, screen, columns and rows, theme.
pub const SHOTS: [(&str, &str, (u16, u16), &str); 5] = [
    ("home.svg", "home", (100, 30), "dark"),
    ("jobs.svg", "jobs", (100, 26), "dark"),
    ("run.svg", "run sync-mirrors#2", (100, 24), "dark"),
    ("audit.svg", "audit", (100, 24), "light"),
    ("schedule.svg", "schedule", (100, 14), "deuteranopia"),
];

/// As `quarterdeck save` writes it: the engine's answers by the paths of their questions, at one moment. It was taken from a demo estate; its
/// nights were moved apart, and the names of directory and person changed.
#[derive(serde::Deserialize)]
struct State {
    saved_at: String,
    site: Value,
    answers: BTreeMap<String, Box<RawValue>>,
}

/// One picture.
pub fn draw(screen: &str, size: (u16, u16), theme: &str) -> String {
    let (buf, look) = frame(screen, size, theme);
    svg::svg(&buf, &look.theme, &format!("quarterdeck: {screen}"))
}

/// The rows of a frame as text, each with a map of its styles below it, and what the letters of the map mean.
pub fn styled(screen: &str, size: (u16, u16), theme: &str) -> String {
    let (buf, _) = frame(screen, size, theme);
    let mut legend: Vec<String> = Vec::new();
    let mut out = String::new();
    for y in 0..buf.area.height {
        let (mut text, mut map) = (String::new(), String::new());
        for x in 0..buf.area.width {
            let cell = &buf[(x, y)];
            text.push_str(cell.symbol());
            let codes = shot::sgr(cell.style()).trim_start_matches("\u{1b}[0").trim_end_matches('m').trim_start_matches(';').to_owned();
            let letter = match (codes.is_empty(), legend.iter().position(|l| *l == codes)) {
                (true, _) => ' ',
                (false, Some(n)) => char::from(b'a' + n as u8),
                (false, None) => {
                    legend.push(codes);
                    char::from(b'a' + legend.len() as u8 - 1)
                }
            };
            map.push(letter);
        }
        for line in [text, map] {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    for (n, codes) in legend.iter().enumerate() {
        out.push_str(&format!("{}: {codes}\n", char::from(b'a' + n as u8)));
    }
    out
}

fn frame(screen: &str, size: (u16, u16), theme: &str) -> (Buffer, Look) {
    let state = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots/state.json");
    let state: State = serde_json::from_str(&std::fs::read_to_string(state).unwrap()).unwrap();
    let text = |key: &str| state.site[key].as_str().unwrap().to_owned();
    let site = Site { name: text("name"), demo: state.site["demo"].as_bool().unwrap(), zone: zone::named(&text("time_zone")).unwrap() };
    let mut model = Model::new(site, Keymap::default_keys(), state.saved_at.parse().unwrap(), size);
    let kind = match screen.split_once(' ') {
        Some((_, run)) => Kind::Run(run.parse().unwrap()),
        None => Kind::NAMED.into_iter().find(|(n, _)| *n == screen).unwrap().1,
    };
    if kind != Kind::Home {
        model.stack.push(Screen::of(kind));
    }
    let mut effects = update(&mut model, Msg::Link(LinkMsg::Up));
    while let Some(effect) = effects.pop() {
        let Effect::Ask(question) = effect else { continue };
        let result = match state.answers.get(&question.path()) {
            Some(raw) => question.read(raw.get().as_bytes()),
            None => Err(ApiError::failed(format!("{} is not in the state", question.path()), "")),
        };
        assert!(result.is_ok(), "screenshots/state.json: {result:?}");
        effects.extend(update(&mut model, Msg::Answer { question, result }));
    }
    let theme = Theme::of(theme, &built_in(theme).unwrap().unwrap(), Depth::True);
    let look = Look { theme, glyphs: Glyphs::UTF8 };
    (shot::draw(&model, &look), look)
}
