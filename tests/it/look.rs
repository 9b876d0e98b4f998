//! How `screen` looks: themes by name, own ones, what is wrong with them, and the picture.

use std::os::unix::fs::PermissionsExt;

use crate::support::{Home, Pty};

fn own(home: &Home, name: &str, text: &str) -> std::path::PathBuf {
    let dir = home.config().join("themes");
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(format!("{name}.toml"));
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_theme_that_is_not_there_is_wrong_use_and_the_message_lists_those_that_are() {
    let home = Home::new();
    own(&home, "mine", "inherits = \"dark\"\n");
    let out = home.qd(["screen", "home", "--theme", "drak"]).expect(2);
    for word in ["drak", "did you mean `dark`", "dark light high-contrast deuteranopia tritanopia ansi16 mono mine"] {
        assert!(out.stderr.contains(word), "{word}: {}", out.stderr);
    }
    let path = own(&home, "mine", "inherits = \"dark\"\n[roles]\n\"state.god\" = {}\n");
    let out = home.qd(["screen", "home", "--theme", "mine"]).expect(2);
    assert!(out.stderr.contains("mine.toml:3:1") && out.stderr.contains("did you mean `state.good`?"), "{}", out.stderr);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    home.qd(["screen", "home", "--theme", "mine"]).expect(4);
}

#[test]
fn the_site_names_its_theme_and_a_broken_one_is_told_and_goes_without() {
    let home = Home::new();
    home.site("[console]\ntheme = \"mine\"\n");
    own(&home, "mine", "inherits = \"dark\"\n[roles]\nframe = { fg = \"#010203\", bg = \"#fafbfc\" }\n");
    let svg = home.qd(["screen", "home", "--format", "svg"]).expect(0).stdout;
    assert!(svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>") && svg.contains("#fafbfc"), "{svg}");
    assert!(home.qd(["screen", "home", "--format", "svg", "--theme", "dark"]).expect(0).stdout.contains("#2b3a55"));
    own(&home, "mine", "inherits = \"dark\"\n[roles]\nframe = { fg = \"#01020\" }\n");
    let out = home.qd(["screen", "home", "--format", "svg"]).expect(0);
    assert!(out.stderr.contains("mine.toml:3:16") && out.stdout.contains("#2b3a55"), "{}", out.stderr);
}

#[test]
fn mono_sends_attributes_and_no_colour() {
    let home = Home::new();
    let out = home.qd(["screen", "home", "--format", "ansi", "--theme", "mono"]).expect(0).stdout;
    let codes: Vec<&str> = out.split("\u{1b}[").skip(1).filter_map(|s| s.split_once('m')).map(|(c, _)| c).collect();
    assert!(codes.iter().any(|c| c.contains('7')), "the first row is reversed: {codes:?}");
    assert!(codes.iter().flat_map(|c| c.split(';')).all(|n| n.parse::<u8>().is_ok_and(|n| n < 10)), "{codes:?}");
}

#[test]
fn a_running_console_reads_its_theme_again_and_a_broken_one_stops_nothing() {
    let home = Home::new();
    home.site("[console]\ntheme = \"mine\"\n");
    own(&home, "mine", "inherits = \"dark\"\n");
    let mut command = home.command::<&str>([]);
    command.env("TERM", "xterm-256color").env("COLORTERM", "truecolor");
    let mut pty = Pty::start(command, 140, 30);
    pty.shows("READ-ONLY");
    own(&home, "mine", "inherits = \"dark\"\n[roles]\nframe = { fg = \"#01020\" }\n");
    pty.shows("mine.toml:3:16");
    let (before, _) = pty.count();
    own(&home, "mine", "inherits = \"dark\"\n[roles]\nframe = { fg = \"#010203\", bg = \"#fafbfc\" }\n");
    pty.shows("the theme was read again");
    assert!(String::from_utf8_lossy(&pty.since(before)).contains("48;2;250;251;252"), "{}", pty.text());
    pty.command("quit");
    assert_eq!(pty.wait().code(), Some(0));
}
