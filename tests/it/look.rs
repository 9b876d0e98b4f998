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

/// Whether colours are sent by their three parts, by their number of 256, and by their number of 16.
fn sent(text: &str) -> (bool, bool, bool) {
    let codes: Vec<&str> = text.split("\u{1b}[").skip(1).filter_map(|s| s.split_once('m')).map(|(c, _)| c).collect();
    let few = |c: &&str| {
        c.split(';').filter_map(|n| n.parse::<u8>().ok()).any(|n| matches!(n, 30..=37 | 40..=47 | 90..=107))
            && !c.contains("8;5;")
            && !c.contains("8;2;")
    };
    (codes.iter().any(|c| c.contains("8;2;")), codes.iter().any(|c| c.contains("8;5;")), codes.iter().any(few))
}

#[test]
fn colours_are_as_many_as_is_said_by_the_command_then_by_the_site() {
    let home = Home::new();
    let frame = |colour: &[&str]| {
        let args: Vec<&str> = colour.iter().copied().chain(["screen", "home", "--format", "ansi", "--theme", "dark"]).collect();
        sent(&home.qd(args).expect(0).stdout)
    };
    assert_eq!(frame(&["--color", "true"]), (true, false, false));
    assert_eq!(frame(&["--color", "256"]), (false, true, false));
    assert_eq!(frame(&["--color", "16"]), (false, false, true));
    assert_eq!(frame(&["--color", "never"]), (false, false, false));
    home.site("[console]\ncolors = \"true\"\n");
    assert_eq!(frame(&[]), (true, false, false));
    assert_eq!(frame(&["--color", "256"]), (false, true, false), "the command goes first");
    home.site("[console]\ncolors = \"many\"\n");
    let out = home.qd(["site", "check"]).expect(1);
    assert!(out.stderr.contains("2:10") || out.stdout.contains("2:10"), "{} {}", out.stdout, out.stderr);
    home.qd(["--color", "17", "screen", "home"]).expect(2);
}

#[test]
fn a_console_sends_the_colours_it_is_told_and_those_that_terminfo_knows() {
    let home = Home::new();
    home.site("");
    let shown = |args: &[&str], env: &[(&str, &str)]| {
        let mut command = home.command(args.iter().copied());
        command.env("TERM", "xterm-256color").env_remove("COLORTERM").env_remove("NO_COLOR");
        command.envs(env.iter().copied());
        let mut pty = Pty::start(command, 100, 24);
        pty.shows("READ-ONLY");
        let text = String::from_utf8_lossy(&pty.since(0)).into_owned();
        pty.command("quit");
        assert_eq!(pty.wait().code(), Some(0));
        sent(&text)
    };
    assert_eq!(shown(&[], &[]), (false, true, false));
    assert_eq!(shown(&["--color", "true"], &[]), (true, false, false));
    assert_eq!(shown(&["--color", "true"], &[("NO_COLOR", "1")]), (true, false, false), "who types it means it");
    assert_eq!(shown(&["--color", "never"], &[]), (false, false, false));
    // A terminal whose name says nothing; its entry says what it takes.
    let entry = home.root().join("q").join("qd-test");
    std::fs::create_dir_all(entry.parent().unwrap()).unwrap();
    let mut bytes: Vec<u8> = [0o432u16, 8, 0, 14, 0, 0].iter().flat_map(|n| n.to_le_bytes()).collect();
    bytes.extend(b"qd-test\0");
    (0..14).for_each(|n| bytes.extend(if n == 13 { 256i16 } else { -1 }.to_le_bytes()));
    std::fs::write(&entry, bytes).unwrap();
    let root = home.root().display().to_string();
    assert_eq!(shown(&[], &[("TERM", "qd-test")]), (false, false, true));
    assert_eq!(shown(&[], &[("TERM", "qd-test"), ("TERMINFO", &root)]), (false, true, false));
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
