//! Far ends that the engine asks by itself: how many answer, which do not, and what they said in place of an answer.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

use crate::support::{Home, Pty, until_some};

/// A server that says the same to everybody; its host and port.
fn says(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut head = [0u8; 4096];
                while stream.read(&mut head).is_ok_and(|n| n > 0) {
                    if stream.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    at
}

const LOGIN: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 27\r\n\r\n<html>please log in</html>\n";
const BROKEN: &str = "HTTP/1.1 503 Service Unavailable\r\nserver: proxy-3\r\nset-cookie: session=abc\r\ncontent-length: 48\r\n\r\n\
                      down for repair \u{1b}[31mnow\r\ntoken=hunter2 ends now\n";

fn home(up: &str, cedar: &str) -> Home {
    let home = Home::new();
    home.site(&format!(
        "time_zone = \"UTC\"\n[repos.base9]\nupstream = [\"http://{up}/u/\"]\nwriter = \"external\"\nreplicas = [\"alder=http://{up}/a/\", \"cedar=http://{cedar}/c/\"]\n"
    ));
    home.qd(["engine", "start"]).expect(0);
    home
}

fn sources(home: &Home) -> Vec<Value> {
    home.json(&["get", "sources", "--sort", "source"])["rows"].as_array().unwrap().clone()
}

#[test]
fn who_answers_is_counted_and_what_was_said_instead_is_shown_as_it_came_and_harms_nobody() {
    let (up, cedar) = (says(LOGIN), says(BROKEN));
    let home = home(&up, &cedar);
    let all = until_some("both to be asked", || {
        let all = sources(&home);
        (all.len() == 2 && all.iter().all(|s| s["asked"].is_string())).then_some(all)
    });
    let of = |name: &str| all.iter().find(|s| s["source"] == name).unwrap_or_else(|| panic!("{all:?}"));
    // It answers, though with nonsense; what it serves is told as torn elsewhere.
    assert_eq!((of(&up)["state"].as_str(), of(&up)["places"].as_u64()), (Some("answers"), Some(2)), "{all:?}");
    assert_eq!((of("cedar")["state"].as_str(), of("cedar")["at"].as_str()), (Some("silent"), Some(cedar.as_str())));
    assert!(of("cedar")["error"].as_str().unwrap().contains("HTTP 503") && of("cedar")["budget_ms"].is_u64(), "{all:?}");
    let table = home.qd(["get", "sources"]).expect(0).stdout;
    assert!(table.starts_with("SOURCE ") && !table.contains("state="), "a table, and no row as it came: {table}");
    assert_eq!(home.json(&["engine", "status"])["sources"].as_array().map(Vec::len), Some(2));

    let answers = home.json(&["get", "mirrors", "base9"])["answers"].as_array().unwrap().clone();
    let of = |place: &str| {
        let found = answers.iter().find(|a| a["place"] == place).unwrap_or_else(|| panic!("{answers:?}"));
        found["raw"].as_array().unwrap().iter().map(|l| l.as_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
    };
    assert!(of("alder").contains("please log in"), "{answers:?}");
    let raw = of("cedar");
    assert!(raw.contains("503 Service Unavailable") && raw.contains("server: proxy-3") && raw.contains("down for repair"), "{raw}");
    assert!(!raw.contains('\u{1b}') && !raw.contains("hunter2") && !raw.contains("session="), "{raw}");

    let pty = Pty::start(home.command::<&str>([]), 140, 40);
    pty.sees("how many answer", |s| s.lines().next().is_some_and(|l| l.trim_end().ends_with("src 1/2")));
    pty.keys("3");
    pty.sees("the repository", |s| s.contains("USED BY") && s.contains("base9"));
    pty.keys("l");
    pty.sees("what came", |s| s.contains("RAW") && s.contains("down for repair") && s.contains("please log in") && !s.contains("hunter2"));
    pty.command("quit");
}

#[test]
fn a_site_that_asks_nobody_has_no_sources() {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\n");
    home.qd(["engine", "start"]).expect(0);
    assert!(sources(&home).is_empty());
    let frame = home.qd(["screen", "home", "--size", "100x24"]).expect(0).stdout;
    assert!(!frame.contains("src "), "{frame}");
}
