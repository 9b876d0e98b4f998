//! The pictures of `screenshots/`: each drawn from the committed state at its moment, and from nothing else. The state is a file of
//! `quarterdeck save` from a demo estate; its nights were moved apart, and the names of directory and person changed.

use std::path::Path;

use quarterdeck::console::keymap::Keymap;
use quarterdeck::console::model::screen::Kind;
use quarterdeck::console::model::{Link, Screen};
use quarterdeck::console::msg::{Effect, LinkMsg, Msg};
use quarterdeck::console::saved::Saved;
use quarterdeck::console::{shot, svg, update};
use quarterdeck::theme::{Depth, Glyphs, Look, Theme, built_in};
use ratatui::buffer::Buffer;

/// File, screen, columns and rows, theme.
pub const SHOTS: [(&str, &str, (u16, u16), &str); 8] = [
    ("home.svg", "home", (100, 30), "dark"),
    ("jobs.svg", "jobs", (120, 36), "dark"),
    ("mirrors.svg", "mirrors", (120, 38), "dark"),
    ("content.svg", "content", (120, 34), "light"),
    ("run.svg", "run imgcanary#4", (120, 36), "dark"),
    ("audit.svg", "audit", (100, 24), "light"),
    ("promotions.svg", "promotions", (140, 40), "dark"),
    ("schedule.svg", "schedule", (100, 14), "deuteranopia"),
];

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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("screenshots/state.json");
    let saved = Saved::read(&std::fs::read(path).unwrap()).unwrap();
    let mut model = saved.model(Keymap::default_keys(), size);
    // Drawn as the console on its engine shows it.
    (model.link, model.never_armed) = (Link::Connecting, false);
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
        let result = saved.answer(&question);
        assert!(result.is_ok(), "screenshots/state.json: {}: {result:?}", question.path());
        effects.extend(update(&mut model, Msg::Answer { question, result }));
    }
    let theme = Theme::of(theme, &built_in(theme).unwrap().unwrap(), Depth::True);
    let look = Look { theme, glyphs: Glyphs::UTF8 };
    (shot::draw(&model, &look), look)
}
