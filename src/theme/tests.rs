//! The built-in themes are held to what they promise: contrast, what stays apart for whom, and what every slip in a file says.

use ratatui::style::{Color, Modifier, Style};

use super::colour::{Rgb, seen};
use super::*;

/// What a background is taken to be: the terminal's default is assumed black or white; what is a little off must do as well.
fn grounds(ground: Ground) -> [Rgb; 2] {
    match ground {
        Ground::Dark => [(0, 0, 0), (0x1e, 0x1e, 0x2e)],
        Ground::Light => [(255, 255, 255), (0xf4, 0xf1, 0xe8)],
    }
}

fn linear(v: u8) -> f64 {
    let v = f64::from(v) / 255.0;
    if v <= 0.040_45 { v / 12.92 } else { ((v + 0.055) / 1.055).powf(2.4) }
}

/// As WCAG 2 defines it.
fn contrast(a: Rgb, b: Rgb) -> f64 {
    let light = |(r, g, b): Rgb| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    let (a, b) = (light(a), light(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn theme(name: &str, depth: Depth) -> Theme {
    Theme::of(name, &built_in(name).unwrap().unwrap(), depth)
}

const DEPTHS: [Depth; 3] = [Depth::Ansi16, Depth::Ansi256, Depth::True];

/// What views draw upon what: the pairs that a role's own colours do not show.
fn upon(role: Role) -> Vec<Role> {
    use Role::*;
    match role {
        Screen => Role::ALL.to_vec(),
        Identity => vec![Demo, ReadOnly, Armed, Alarm, Strong],
        Selected => vec![Good, Warn, Bad, Running, Waiting, Unknown, Dim, Strong, Text],
        Dialog => vec![
            DialogDanger,
            DialogFocus,
            Text,
            Dim,
            Strong,
            Section,
            Border,
            Label,
            Prompt,
            PromptError,
            Key,
            KeyText,
            KeyOff,
            Warn,
            Bad,
            Good,
        ],
        _ => Vec::new(),
    }
}

/// Ground and ink of every pair that a theme can put on the screen, named. None = the terminal's own.
fn pairs(theme: &Theme) -> Vec<(String, Option<Color>, Option<Color>)> {
    let colours = |s: Style| {
        let own = |c: Option<Color>| c.filter(|c| *c != Color::Reset);
        let (fg, bg) = (own(s.fg), own(s.bg));
        if s.add_modifier.contains(Modifier::REVERSED) { (bg, fg) } else { (fg, bg) }
    };
    let screen = theme.style(Role::Screen);
    let mut out = Vec::new();
    for role in Role::ALL {
        let own = screen.patch(theme.style(*role));
        out.push((role.name().to_owned(), colours(own).0, colours(own).1));
        for over in upon(*role) {
            // A selected row's style goes over the cells', everything else over what is below it.
            let both = if *role == Role::Selected { theme.style(over).patch(own) } else { own.patch(theme.style(over)) };
            out.push((format!("{} on {}", over.name(), role.name()), colours(both).0, colours(both).1));
        }
    }
    out
}

#[test]
fn every_pair_of_colours_of_every_built_in_theme_can_be_read() {
    let mut wrong = Vec::new();
    for (name, _) in BUILT_IN {
        for depth in DEPTHS {
            let theme = theme(name, depth);
            let least = if name == "high-contrast" && depth == Depth::True { 7.0 } else { 4.5 };
            for (what, ink, paper) in pairs(&theme) {
                let papers = paper.and_then(seen).map_or(grounds(theme.ground).to_vec(), |p| vec![p]);
                let terminals = !matches!(ink, Some(Color::Rgb(..) | Color::Indexed(_)));
                let Some(ink) = ink.and_then(seen) else {
                    if paper.is_some() {
                        wrong.push(format!(
                            "{name} at {depth:?}: {what} has a background and no foreground: nobody knows whether it can be read"
                        ));
                    }
                    continue;
                };
                // The sixteen are the terminal's, and so is what stands behind them: pure black or white is all that can be assumed.
                let papers = if terminals { &papers[..1] } else { &papers[..] };
                for paper in papers {
                    let got = contrast(ink, *paper);
                    if got < least {
                        wrong.push(format!("{name} at {depth:?}: {what} is {ink:?} on {paper:?}: {got:.2}:1"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn contrast_is_what_wcag_says() {
    assert!((contrast((0, 0, 0), (255, 255, 255)) - 21.0).abs() < 0.001);
    assert!((contrast((0x77, 0x77, 0x77), (255, 255, 255)) - 4.478).abs() < 0.001);
}

const STATES: [Role; 4] = [Role::Good, Role::Warn, Role::Bad, Role::Running];

#[test]
fn states_stay_apart_on_every_rung_of_the_ladder() {
    for (name, _) in BUILT_IN.iter().filter(|(n, _)| *n != "mono") {
        for depth in DEPTHS {
            let theme = theme(name, depth);
            for (i, a) in STATES.iter().enumerate() {
                for b in &STATES[i + 1..] {
                    assert_ne!(theme.style(*a).fg, theme.style(*b).fg, "{name} at {depth:?}: {} and {}", a.name(), b.name());
                }
            }
        }
    }
}

/// Machado, Oliveira, Fernandes 2009, severity 1.0, on linear RGB.
const DEUTERANOPIA: [[f64; 3]; 3] = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]];
const TRITANOPIA: [[f64; 3]; 3] = [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]];

/// CIE 1976 L*a*b* of a colour as it is seen through a matrix.
fn lab((r, g, b): Rgb, through: &[[f64; 3]; 3]) -> [f64; 3] {
    let lin = [linear(r), linear(g), linear(b)];
    let [r, g, b] = through.map(|row| row.iter().zip(lin).map(|(m, v)| m * v).sum::<f64>().clamp(0.0, 1.0));
    let f = |t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
    let x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.950_47);
    let y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
    let z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.088_83);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// The least distance between two states as seen through a matrix. 2.3 can just be noticed side by side; 20 is told apart at a glance.
fn least(name: &str, depth: Depth, through: &[[f64; 3]; 3]) -> f64 {
    let theme = theme(name, depth);
    let seen = STATES.map(|r| lab(theme.style(r).fg.and_then(seen).unwrap(), through));
    let mut least = f64::MAX;
    for (i, a) in seen.iter().enumerate() {
        for b in &seen[i + 1..] {
            least = least.min(a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>().sqrt());
        }
    }
    least
}

#[test]
fn who_does_not_see_red_and_green_or_blue_and_yellow_tells_states_apart() {
    for depth in DEPTHS {
        for (name, through) in [("deuteranopia", &DEUTERANOPIA), ("tritanopia", &TRITANOPIA)] {
            let got = least(name, depth, through);
            assert!(got >= 20.0, "{name} at {depth:?}: {got:.1}");
        }
    }
}

#[test]
fn mono_has_no_colour_at_all_and_no_colours_means_mono() {
    let mono = theme("mono", Depth::True);
    for role in Role::ALL {
        let s = mono.style(*role);
        assert_eq!((s.fg, s.bg), (None, None), "{}", role.name());
        for (name, _) in BUILT_IN {
            let s = theme(name, Depth::None).style(*role);
            assert!(s.fg.is_none() && s.bg.is_none(), "{name}: {}", role.name());
        }
    }
    assert_eq!(theme("dark", Depth::None).style(Role::Selected), mono.style(Role::Selected), "the cursor's row stays visible");
    assert!(mono.style(Role::Armed) != mono.style(Role::ReadOnly) && mono.style(Role::Bad) != mono.style(Role::Good));
    assert_eq!(Theme::plain(), mono);
}

#[test]
fn the_ladder_goes_down_by_the_stand_in_that_the_file_names() {
    let fg = |depth| theme("dark", depth).style(Role::Good).fg;
    assert_eq!(fg(Depth::True), Some(Color::Rgb(0x7b, 0xd8, 0x8f)));
    assert!(matches!(fg(Depth::Ansi256), Some(Color::Indexed(16..))));
    assert_eq!(fg(Depth::Ansi16), Some(Color::LightGreen));
    assert_eq!(theme("ansi16", Depth::True).style(Role::Good).fg, Some(Color::LightGreen), "its colours are the terminal's");
}

fn orphan(name: &str) -> Result<Sheet, String> {
    built_in(name).and_then(Result::ok).ok_or_else(|| format!("no theme `{name}`"))
}

#[test]
fn a_theme_says_only_what_differs() {
    let text = "inherits = \"dark\"\n[palette]\ngood = \"#00ff00\"\n[roles]\nstate = { italic = true }\n\"state.bad\" = { bg = \"#400000\" }\nlist.match = { fg = \"red\" }\n";
    let sheet = read(text, &mut orphan).unwrap();
    let mine = Theme::of("mine", &sheet, Depth::True);
    let dark = theme("dark", Depth::True);
    assert_eq!(mine.style(Role::Good).fg, Some(Color::Rgb(0, 255, 0)), "a colour of the palette goes into inherited roles");
    assert!(mine.style(Role::Good).add_modifier.contains(Modifier::ITALIC), "the group styles what the role leaves open");
    assert_eq!(mine.style(Role::Bad).bg, Some(Color::Rgb(0x40, 0, 0)));
    assert_eq!(mine.style(Role::Bad).fg, None, "an entry takes the place of the inherited one");
    assert_eq!(mine.style(Role::Match).fg, Some(Color::Red), "without quotes it is the same role");
    assert_eq!(mine.style(Role::Armed), dark.style(Role::Armed));
    // Nothing inherited and nothing said: attributes, so that the cursor's row is seen.
    let bare = Theme::of("bare", &read("", &mut orphan).unwrap(), Depth::True);
    assert!(bare.style(Role::Selected).add_modifier.contains(Modifier::REVERSED));
}

#[test]
fn every_slip_has_its_place_and_says_what_was_meant() {
    for (text, at, message, help) in [
        ("[roles]\n\"state.god\" = {}", "\"state.god\"", "no role `state.god`", "did you mean `state.good`?"),
        ("[roles]\nstate.good = { colour = \"red\" }", "colour", "a role has no `colour`", "there are: fg, bg, bold"),
        ("[roles]\ntext = { bold = 1 }", "1", "`bold` must be true or false", ""),
        ("[roles]\ntext = \"red\"", "\"red\"", "the role `text` must be a table", "write { fg"),
        ("[roles]\ntext = { fg = \"gren\" }", "\"gren\"", "no colour `gren`", "did you mean `green`?"),
        ("[palette]\nrose = \"#ff00f\"", "\"#ff00f\"", "`#ff00f` is no colour", "six hexadecimal"),
        (
            "[palette]\nrose = { rgb = \"#ff00ff\", ansi = \"bright-rad\" }",
            "\"bright-rad\"",
            "there is no `bright-rad`",
            "did you mean `bright-red`?",
        ),
        ("[palette]\nrose = { rbg = \"#ff00ff\" }", "rbg", "a colour has no `rbg`", "did you mean `rgb`?"),
        ("[palette]\nrose = {}", "{}", "needs `rgb`, `ansi` or both", "write"),
        ("[palette]\nrose = 7", "7", "must be a text", "write"),
        ("palette = 7", "7", "[palette] must be a table", ""),
        ("inherit = \"dark\"", "inherit", "a theme has no `inherit`", "did you mean `inherits`?"),
        ("inherits = \"drak\"", "\"drak\"", "no theme `drak`", ""),
        ("inherits = 1", "1", "must be the name of a theme", ""),
        ("background = \"grey\"", "\"grey\"", "must be \"dark\" or \"light\"", ""),
        ("[roles\n", "\n", "not TOML", ""),
    ] {
        let slips = read(text, &mut orphan).unwrap_err();
        let slip = slips.iter().find(|s| s.message.contains(message)).unwrap_or_else(|| panic!("{text}: {slips:?}"));
        assert_eq!(text.get(slip.span.clone()).map(str::trim), Some(at.trim()), "{text}: {slip:?}");
        assert!(slip.help.contains(help), "{text}: {slip:?}");
    }
    // All slips of a file are said at once, in its order; a colour that an absent parent may have is none.
    let slips = read("inherits = \"x\"\n[roles]\ntext = { fg = \"theirs\", bld = true }\nnope = {}", &mut orphan).unwrap_err();
    assert_eq!(slips.iter().map(|s| s.span.start).collect::<Vec<_>>().len(), 3, "{slips:?}");
    assert!(slips.windows(2).all(|w| w[0].span.start <= w[1].span.start));
}

#[test]
fn the_terminal_decides_where_nobody_does() {
    let suits = |depth, back: Option<&str>| Theme::suits(depth, |n| back.filter(|_| n == "COLORFGBG").map(str::to_owned));
    assert_eq!(suits(Depth::True, None), "dark");
    assert_eq!(suits(Depth::True, Some("15;0")), "dark");
    assert_eq!(suits(Depth::Ansi256, Some("0;15")), "light");
    assert_eq!(suits(Depth::Ansi256, Some("0;default;7")), "light");
    assert_eq!(suits(Depth::Ansi256, Some("12;8")), "dark");
    assert_eq!(suits(Depth::Ansi16, None), "ansi16");
    assert_eq!(suits(Depth::Ansi16, Some("0;15")), "light");
    assert_eq!(suits(Depth::None, Some("0;15")), "mono");
    assert_eq!(suits(Depth::True, Some("nonsense")), "dark");
}
