//! Every check in each of its states, and that what is wrong always comes with something to do.

use super::*;
use crate::domain::attempt::Containment;

#[track_caller]
fn says(row: Row, state: State, words: &str) {
    assert_eq!(row.state, state, "{row:?}");
    assert!(format!("{} | {}", row.found, row.help).contains(words), "{row:?} lacks {words}");
    assert!(!row.found.is_empty() && !row.check.is_empty());
    assert!(row.state == State::Ok || row.state == State::Unknown || !row.help.is_empty(), "{row:?} does not say what to do");
    assert!(row.state != State::Ok || row.help.is_empty(), "{row:?}: nothing is to be done");
}

#[test]
fn terminal_in_each_state() {
    let good = TerminalFacts { is_terminal: true, term: "xterm-256color".into(), size: Some((120, 40)), utf8: true, true_colour: false };
    says(terminal(&good), State::Ok, "xterm-256color, 120x40, 256 colours");
    says(terminal(&TerminalFacts { true_colour: true, ..good.clone() }), State::Ok, "16 million");
    says(terminal(&TerminalFacts { is_terminal: false, ..good.clone() }), State::Unknown, "no terminal");
    says(terminal(&TerminalFacts { term: String::new(), ..good.clone() }), State::Warn, "not set");
    says(terminal(&TerminalFacts { term: "dumb".into(), ..good.clone() }), State::Warn, "dumb");
    says(terminal(&TerminalFacts { size: Some((79, 24)), ..good.clone() }), State::Warn, "at least 80x24");
    says(terminal(&TerminalFacts { utf8: false, ..good }), State::Warn, "UTF-8");
}

#[test]
fn state_directory_in_each_state() {
    let good = DirFacts { path: "/s".into(), mode: Some(0o40700), uid: 7, is_dir: true, writable: true, trouble: String::new() };
    says(state_directory(&good, 7), State::Ok, "mode 0700");
    says(state_directory(&DirFacts { mode: None, ..good.clone() }, 7), State::Ok, "not there yet");
    says(state_directory(&DirFacts { mode: None, writable: false, ..good.clone() }, 7), State::Fail, "install -d");
    says(state_directory(&DirFacts { mode: Some(0o40750), ..good.clone() }, 7), State::Fail, "chmod 700 /s");
    says(state_directory(&DirFacts { is_dir: false, ..good.clone() }, 7), State::Fail, "no directory");
    says(state_directory(&DirFacts { writable: false, ..good.clone() }, 7), State::Fail, "cannot be written");
    says(state_directory(&DirFacts { trouble: "EACCES".into(), ..good.clone() }, 7), State::Fail, "EACCES");
    says(state_directory(&good, 8), State::Fail, "uid 7");
}

#[test]
fn file_system_space_and_inodes_in_each_state() {
    let gib = 1 << 30;
    let good = FsFacts { free_bytes: 100 * gib, free_inodes: 1_000_000, floor_bytes: gib, floor_inodes: 1_000, ..FsFacts::default() };
    says(file_system(Some(&good)), State::Ok, "local");
    says(file_system(None), State::Unknown, "cannot be asked");
    says(file_system(Some(&FsFacts { read_only: true, ..good.clone() })), State::Fail, "read-only");
    says(file_system(Some(&FsFacts { remote: Some("NFS".into()), ..good.clone() })), State::Fail, "NFS");
    says(file_system(Some(&FsFacts { remote: Some("NFS".into()), allowed: true, ..good.clone() })), State::Warn, "NETWORK_STATE");
    says(disk_space(Some(&good)), State::Ok, "100");
    says(disk_space(Some(&FsFacts { free_bytes: 3 * gib, ..good.clone() })), State::Warn, "free some");
    says(disk_space(Some(&FsFacts { free_bytes: gib / 2, ..good.clone() })), State::Fail, "nothing new starts");
    says(disk_space(None), State::Unknown, "cannot be asked");
    says(inodes(Some(&good)), State::Ok, "1000000 free");
    says(inodes(Some(&FsFacts { free_inodes: u64::MAX, ..good.clone() })), State::Ok, "does not run out");
    says(inodes(Some(&FsFacts { free_inodes: 3_000, ..good.clone() })), State::Warn, "3000 free");
    says(inodes(Some(&FsFacts { free_inodes: 10, ..good })), State::Fail, "10 free");
    says(inodes(None), State::Unknown, "cannot be asked");
}

#[test]
fn clock_skew_and_zone_in_each_state() {
    says(clock(Some(ClockFacts { synchronised: true, error_us: 3_000 })), State::Ok, "within 3 ms");
    says(clock(Some(ClockFacts { synchronised: true, error_us: 4_000_000 })), State::Warn, "wrong by 4 s");
    says(clock(Some(ClockFacts { synchronised: false, error_us: 0 })), State::Warn, "chronyd");
    says(clock(None), State::Unknown, "does not say");
    says(skew(&[]), State::Unknown, "no far end");
    says(skew(&[1, -1, 0]), State::Ok, "0 s ahead of 3");
    says(skew(&[-30]), State::Warn, "30 s behind");
    says(skew(&[7_200, 7_201, 0]), State::Fail, "7200 s ahead");
    // One far end that is wrong says nothing about us.
    says(skew(&[0, 1, 90_000]), State::Ok, "1 s");
    let good = ZoneFacts { name: "Europe/Berlin".into(), in_system: true, known: true, version: Some("2025b".into()) };
    says(time_zone(&good), State::Ok, "rules 2025b");
    says(time_zone(&ZoneFacts { in_system: false, ..good.clone() }), State::Warn, "tzdata");
    says(time_zone(&ZoneFacts { name: "UTC".into(), in_system: false, version: None, known: true }), State::Ok, "UTC");
    says(time_zone(&ZoneFacts { known: false, name: "Mars/Dust".into(), ..good }), State::Fail, "Mars/Dust");
}

#[test]
fn linger_and_containment_in_each_state() {
    let f = LingerFacts { private: true, uid: 1_000, user: "ann".into(), systemd: true, lingers: false };
    says(linger(&f), State::Warn, "loginctl enable-linger ann");
    says(linger(&LingerFacts { lingers: true, ..f.clone() }), State::Ok, "after log-out");
    says(linger(&LingerFacts { uid: 0, ..f.clone() }), State::Ok, "root");
    says(linger(&LingerFacts { systemd: false, ..f.clone() }), State::Unknown, "no systemd");
    says(linger(&LingerFacts { private: false, ..f }), State::Ok, "shared");
    let holds = |rung, cgroup_kill| Containing { rung, by_engine: true, cgroup_kill };
    says(containment(&holds(Containment::SystemdScope, true)), State::Ok, "scope");
    says(containment(&holds(Containment::Cgroup, true)), State::Ok, "cgroup");
    says(containment(&holds(Containment::Subreaper, true)), State::Warn, "Delegate=yes");
    says(containment(&holds(Containment::Subreaper, false)), State::Warn, "5.14");
    says(containment(&holds(Containment::Cgroup, true)), State::Ok, "the engine's steps");
    let here = Containing { by_engine: false, ..holds(Containment::Cgroup, true) };
    says(containment(&here), State::Ok, "an engine that is started from here");
}

#[test]
fn configuration_pipelines_and_secrets_in_each_state() {
    says(configuration("/c/site.toml", true, None), State::Ok, "/c/site.toml");
    says(configuration("/c/site.toml", false, None), State::Warn, "site init");
    says(configuration("/c/site.toml", true, Some(("everybody may write it", "chmod o-w"))), State::Fail, "chmod o-w");
    says(pipeline("nightly", 2, 1, "3:1: no"), State::Fail, "2 errors: 3:1");
    says(pipeline("nightly", 0, 1, "3:1: hm"), State::Warn, "1 warning: 3:1");
    says(pipelines_fine(2, 3), State::Ok, "2 of 3");
    says(pipelines_fine(0, 0), State::Warn, "site init");
    says(secret("koji", true, None), State::Ok, "the engine");
    says(secret_cache(true), State::Ok, "keeps keys");
    says(secret_cache(false), State::Warn, "seccomp");
    says(secret("koji", false, Some("it is locked")), State::Fail, "locked");
}

#[test]
fn socket_and_engine_in_each_state() {
    let at = |shared, state| socket(&SocketFacts { path: "/s/engine.sock".into(), shared, state });
    says(at(false, SocketState::Answers), State::Ok, "answers");
    says(at(false, SocketState::Absent), State::Ok, "starts it");
    says(at(true, SocketState::Absent), State::Fail, "systemctl status");
    says(at(false, SocketState::Refused("belongs to uid 9".into())), State::Fail, "uid 9");
    says(at(false, SocketState::Silent("no answer".into())), State::Fail, "no answer");
    says(at(true, SocketState::Denied("ann has no role".into())), State::Fail, "[roles]");
    let f = EngineFacts { version: "0.2.0".into(), pid: 7, site_error: String::new(), draining: false };
    says(engine(None, "0.2.0"), State::Ok, "none runs");
    says(engine(Some(&f), "0.2.0"), State::Ok, "pid 7");
    says(engine(Some(&f), "0.3.0"), State::Warn, "engine stop");
    says(engine(Some(&EngineFacts { draining: true, ..f.clone() }), "0.2.0"), State::Warn, "drain --off");
    says(engine(Some(&EngineFacts { site_error: "line 3".into(), ..f }), "0.2.0"), State::Fail, "line 3");
}

#[test]
fn a_far_end_in_each_state_and_certificates_with_their_cure() {
    let at = |tls, answer| far_end(&FarFacts { url: "https://m/x".into(), named_by: "repository base".into(), tls, answer });
    says(at(true, Far::Fine), State::Ok, "certificate is good");
    says(at(false, Far::Fine), State::Ok, "answers");
    says(at(true, Far::Status(404)), State::Fail, "repository base");
    says(at(true, Far::Status(403)), State::Fail, "may not read");
    says(at(true, Far::Status(502)), State::Fail, "HTTP 502");
    says(at(true, Far::Unreachable("no route".into())), State::Fail, "no route");
    let answer = Far::Certificate { why: "its certificate has expired".into(), next: "renew it".into() };
    let row = at(true, answer);
    assert_eq!((row.found.as_str(), row.help.as_str()), ("its certificate has expired (repository base)", "renew it"));
}

#[test]
fn the_worst_row_is_the_answer() {
    assert_eq!(worst(&[]), State::Ok);
    let rows = [clock(None), pipelines_fine(1, 1), pipelines_fine(0, 0)];
    assert_eq!(worst(&rows), State::Warn);
    assert!(State::Fail > State::Warn && State::Warn > State::Unknown);
}
