//! Who installs from a repository, asked of its Cobbler by `get mirrors REPO`: profiles by their repositories, systems by their names only. A server
//! that does not answer is unknown, never nobody.

use serde_json::Value;

use crate::cobbler::fake::FakeCobbler;
use crate::support::Home;

fn site(home: &Home, cobbler: &FakeCobbler) {
    home.site(&format!(
        "[secrets]\nc = \"env:NOTHING\"\n[cobbler.alder]\nurl = \"{}\"\nuser = \"ops\"\nsecret = \"c\"\nmirror = \"{1}\"\n\
         [repos.base]\ntree = \"{1}/base\"\nwriter = \"cobbler\"\n[repos.other]\ntree = \"{1}/other\"\n",
        cobbler.url,
        home.root().join("repo_mirror").display()
    ));
}

fn start(home: &Home) -> FakeCobbler {
    let trees = home.root().join("repo_mirror");
    std::fs::create_dir_all(&trees).unwrap();
    FakeCobbler::start("http://127.0.0.1:9/base", home.root(), &trees)
}

fn uses(doc: &Value) -> Vec<String> {
    let text = |u: &Value, f: &str| u[f].as_str().unwrap().to_owned();
    let all = doc["used_by"].as_array().unwrap().iter().filter(|u| u["kind"] != "replica");
    all.map(|u| format!("{} {}: {}", text(u, "kind"), text(u, "name"), text(u, "how"))).collect()
}

fn unknown(doc: &Value) -> String {
    doc["unknown"].as_array().unwrap().iter().map(|u| format!("{}\n", u.as_str().unwrap())).collect()
}

#[test]
fn profiles_and_systems_that_install_from_a_repository_are_told_with_it() {
    let home = Home::new();
    let cobbler = start(&home);
    {
        let mut state = cobbler.state();
        state.profiles.push("c9s-phys".into());
        state.profiles.push("c9s-vm".into());
        state.systems = (1..=7).map(|n| (format!("h{n}"), "c9s-phys".to_owned())).collect();
        state.systems.push(("stranger".into(), "elsewhere".into()));
    }
    site(&home, &cobbler);
    let doc = home.json(&["get", "mirrors", "base"]);
    assert_eq!((&doc["what"], &doc["rows"][0]["repo"], &doc["repo"]), (&"mirrors".into(), &"base".into(), &"base".into()), "{doc}");
    assert_eq!(
        uses(&doc),
        [
            "cobbler alder: its repository base is this tree",
            "profile alder/c9s-phys: by repos base, kickstart c9s.ks; 7 systems: h1 h2 h3 h4 h5 and 2 more",
            "profile alder/c9s-vm: by repos base, kickstart c9s.ks; no system"
        ]
    );
    assert!(!unknown(&doc).contains("cobbler"), "{doc}");
    // Records of systems are never asked for: they are 7 kB each, with passwords.
    assert!(cobbler.state().calls.iter().all(|c| !c.contains("get_system") && c != "get_item_names"), "{:?}", cobbler.state().calls);
    let asked = cobbler.state().calls.len();
    assert_eq!(uses(&home.json(&["get", "mirrors", "other"])), ["cobbler alder: its repository other is this tree"]);
    assert_eq!(cobbler.state().calls.len(), asked, "within a minute the same answers do");
    let text = home.qd(["get", "mirrors", "base"]).expect(0).stdout;
    assert!(text.contains("used by") && text.contains("alder/c9s-phys") && text.contains("h5 and 2 more"), "{text}");
}

#[test]
fn a_cobbler_that_does_not_answer_is_unknown_and_never_nobody() {
    let home = Home::new();
    let cobbler = start(&home);
    cobbler.state().profiles.push("c9s-phys".into());
    cobbler.state().mute = true;
    site(&home, &cobbler);
    let doc = home.json(&["get", "mirrors", "base"]);
    assert!(uses(&doc).iter().all(|u| !u.starts_with("profile")), "{doc}");
    assert!(unknown(&doc).contains("cobbler alder: who installs from it is unknown: "), "{doc}");
    let text = home.qd(["get", "mirrors", "base"]).expect(0).stdout;
    assert!(text.contains("unknown: cobbler alder: who installs from it is unknown"), "{text}");
    // Without one in the site file nobody could say either.
    let home = Home::new();
    home.site("[repos.base]\ntree = \"/nowhere/base\"\n");
    assert!(unknown(&home.json(&["get", "mirrors", "base"])).contains("installs: no source (add [cobbler.NAME])"));
}

#[test]
fn one_repository_is_asked_for_by_a_name_that_there_is() {
    let home = Home::new();
    home.site("[repos.base]\ntree = \"/nowhere/base\"\n");
    let out = home.qd(["get", "mirrors", "bass"]).expect(2);
    assert!(out.stderr.contains("no repository `bass`") && out.stderr.contains("get repos lists them"), "{out:?}");
    assert!(home.qd(["get", "runs", "base"]).expect(2).stderr.contains("only mirrors are asked for by name"));
    assert!(home.qd(["get", "mirrors", "base", "--limit", "1"]).expect(2).stderr.contains("one repository is shown whole"));
}
