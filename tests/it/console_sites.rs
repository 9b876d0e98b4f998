//! One console, two sites of one person: `:site` closes the one and opens the other, and nothing that was armed goes along.

use std::process::Command;

use crate::support::{Home, Pty, until};

/// The console, or a command, as a person calls it who names no directory.
fn bare(home: &Home, args: &[&str]) -> Command {
    let own = home.command::<&str>([]);
    let mut command = Command::new(own.get_program());
    command.env_clear().current_dir(home.root()).args(args);
    for (k, v) in own.get_envs() {
        command.env(k, v.unwrap_or_default());
    }
    command
}

#[test]
fn from_site_to_site_and_back() {
    let home = Home::new();
    let config = home.root().join("home/.config/quarterdeck");
    for (dir, name) in [(config.clone(), "here"), (config.join("sites/dc2"), "there")] {
        std::fs::create_dir_all(dir.join("pipelines")).unwrap();
        std::fs::write(dir.join("site.toml"), "time_zone = \"UTC\"\n").unwrap();
        let text = format!("format: 1\nname: {name}\nstages:\n  - name: only\n    run: 'true'\n");
        std::fs::write(dir.join(format!("pipelines/{name}.yml")), text).unwrap();
    }
    let run = |args: &[&str]| assert!(bare(&home, args).output().unwrap().status.success(), "{args:?}");
    run(&["run", "here", "--wait"]);
    run(&["--site", "dc2", "run", "there", "--wait"]);
    let mut pty = Pty::start(bare(&home, &[]), 110, 30);
    pty.shows("here#1");
    assert!(pty.text().starts_with("quarterdeck default READ-ONLY"), "{}", pty.text());
    pty.command("arm 15m here only");
    pty.shows("ARMED");
    pty.command("site nowhere");
    pty.shows("there is no site `nowhere`");
    pty.command("site dc2");
    let text = pty.shows("there#1");
    assert!(text.starts_with("quarterdeck dc2 ") && !text.contains(" here#1") && !text.contains("ARMED"), "{text}");
    pty.sees("read-only", |s| s.starts_with("quarterdeck dc2 READ-ONLY"));
    // What was armed is given back to the engine of the other site.
    let armed = || {
        let out = bare(&home, &["--json", "engine", "status"]).output().unwrap();
        let status: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        status["armed"].as_array().unwrap().len()
    };
    until("nobody is armed any more", || armed() == 0);
    // A command that is copied here reaches this site.
    let from = pty.count().0;
    pty.command("runs");
    pty.shows("row 1 of 1");
    pty.keys("c");
    pty.shows("copied");
    let raw = String::from_utf8_lossy(&pty.since(from)).into_owned();
    use base64::Engine;
    let coded = base64::engine::general_purpose::STANDARD.encode("quarterdeck --site dc2 get runs");
    assert!(raw.contains(&format!("\u{1b}]52;c;{coded}")), "{raw:?}");
    pty.command("site default");
    pty.sees("the first site again", |s| s.starts_with("quarterdeck default READ-ONLY") && s.contains("here#1"));
    pty.command("quit");
    assert_eq!(pty.wait().code(), Some(0));
    pty.restored();
    // Both engines go on.
    run(&["engine", "status"]);
    run(&["--site", "dc2", "engine", "status"]);
}
