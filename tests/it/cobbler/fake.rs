//! A Cobbler on a real socket for what a real one cannot be made to do at will: it speaks XML-RPC as 3.3.10 does (HTTP/1.0, 200 for
//! everything, one call a connection) and reads and writes the protocol with its own few lines, not with the code under test.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

pub const PASSWORD: &str = "c0bbler-pass";
const TOKEN: &str = "T0KENofTheFakeCobblerT0KENofTheFake=";

#[derive(Debug, Clone)]
pub struct Task {
    pub id: String,
    /// As Cobbler says it: `notification`, `complete`, `failed`.
    pub state: &'static str,
    pub log: String,
}

/// What the next calls meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// A reposync copies the upstream's tree, and is complete.
    Works,
    /// It stays in flight until [`FakeCobbler::finish`].
    Hangs,
    /// It is complete at once, without a trace: what 3.3.10 does for a name that it does not know.
    Idles,
    /// It fails half-way.
    Fails,
    /// It begins, and the connection ends without an answer.
    Silent,
    /// It begins, and answers with a number.
    Garbles,
    /// It begins, and answers with a fault.
    Raises,
}

#[derive(Debug)]
pub struct State {
    pub tasks: Vec<Task>,
    pub mood: Mood,
    /// Calls of background_reposync that were carried out.
    pub starts: u32,
    pub logins: u32,
    pub calls: Vec<String>,
    /// Profiles that have the repository `base`.
    pub profiles: Vec<String>,
    /// Systems: name and profile.
    pub systems: Vec<(String, String)>,
    /// It takes calls, and answers none.
    pub mute: bool,
    /// What the next questions for a task's state are answered with, last first.
    pub stumbles: Vec<String>,
}

/// One server, with one repository `base`. Ends with the test's process.
pub struct FakeCobbler {
    pub url: String,
    state: Arc<Mutex<State>>,
}

struct World {
    state: Arc<Mutex<State>>,
    /// What it mirrors, by address and on disk, and where its trees lie.
    upstream: String,
    source: PathBuf,
    trees: PathBuf,
}

impl FakeCobbler {
    pub fn start(upstream: &str, source: &Path, trees: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/cobbler_api", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State {
            tasks: Vec::new(),
            mood: Mood::Works,
            starts: 0,
            logins: 0,
            calls: Vec::new(),
            profiles: Vec::new(),
            systems: Vec::new(),
            mute: false,
            stumbles: Vec::new(),
        }));
        let world = World { state: state.clone(), upstream: upstream.to_owned(), source: source.to_owned(), trees: trees.to_owned() };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                world.serve(stream);
            }
        });
        Self { url, state }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("not poisoned")
    }

    pub fn mood(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// A reposync that somebody else began.
    pub fn foreign(&self, repo: &str) -> String {
        let id = format!("2026-11-22_034723_Reposync_{:032x}", 0xf0e1 + self.state().tasks.len());
        let log = own(&id, &["start_task(reposync); event_id(x)", &format!("reposync; ['{repo}']"), "run, reposync, run!", "running: dnf"]);
        self.state().tasks.push(Task { id: id.clone(), state: "notification", log });
        id
    }

    /// Every task in flight ends.
    pub fn finish(&self, state: &'static str) {
        for task in self.state().tasks.iter_mut().filter(|t| t.state == "notification") {
            let end = if state == "complete" { "### TASK COMPLETE ###" } else { "### TASK FAILED ###" };
            task.log.push_str(&own(&task.id, &[end]));
            task.state = state;
        }
    }
}

fn own(id: &str, lines: &[&str]) -> String {
    lines.iter().map(|l| format!("[{id}] 2026-11-22 03:47:23,630 - INFO | {l}\n")).collect()
}

impl World {
    fn serve(&self, mut stream: TcpStream) {
        let (mut text, mut buf) = (Vec::new(), [0; 4096]);
        let call = loop {
            match stream.read(&mut buf) {
                Ok(n) if n > 0 => text.extend_from_slice(&buf[..n]),
                _ => return,
            }
            let all = String::from_utf8_lossy(&text);
            if all.contains("</methodCall>") {
                break all.into_owned();
            }
        };
        let method = between(&call, "<methodName>", "</methodName>").first().cloned().unwrap_or_default();
        self.state.lock().expect("not poisoned").calls.push(method.clone());
        let Some(inner) = self.answer(&method, &between(&call, "<string>", "</string>")) else { return };
        let body = format!("<?xml version='1.0'?>\n<methodResponse>\n{inner}\n</methodResponse>\n");
        let head = format!("HTTP/1.0 200 OK\r\nServer: BaseHTTP/0.6\r\nContent-type: text/xml\r\nContent-length: {}\r\n\r\n", body.len());
        let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
    }

    fn answer(&self, method: &str, texts: &[String]) -> Option<String> {
        let mut state = self.state.lock().expect("not poisoned");
        if state.mute {
            return None;
        }
        let found = |id: &str, state: &State| state.tasks.iter().find(|t| t.id == id).cloned();
        let status = |t: &Task| {
            format!(
                "<array><data><value><double>1795319243.63</double></value><value><string>{}</string></value>\
                 <value><string>{}</string></value><value><array><data></data></array></value></data></array>",
                if t.id.contains("_Sync_") { "Sync" } else { "Reposync" },
                t.state
            )
        };
        let first = texts.first().map(String::as_str).unwrap_or_default();
        Some(match method {
            "login" if texts.get(1).is_some_and(|p| p == PASSWORD) => {
                state.logins += 1;
                value(&string(TOKEN))
            }
            "login" => fault(&format!("login failed ({first})")),
            "token_check" | "logout" => value("<boolean>1</boolean>"),
            "extended_version" => value("<struct><member><name>version</name><value><string>3.3.10</string></value></member></struct>"),
            "get_settings" => value(
                "<struct><member><name>reposync_flags</name><value><string>--delete -a noarch</string></value></member>\
                 <member><name>default_password_crypted</name><value><string>$1$mF86/UHC$WvcIcX2t6crBz2onWxyac.</string></value></member></struct>",
            ),
            "get_repo" if first == "base" => value(&self.record()),
            "get_repo" => value(&string("~")),
            "get_repos" => value(&format!("<array><data><value>{}</value></data></array>", self.record())),
            "get_distros" => value("<array><data></data></array>"),
            "get_profiles" => {
                let member = |name: &str, inner: &str| format!("<member><name>{name}</name><value>{inner}</value></member>");
                let row = |name: &String| {
                    let repos = format!("<array><data><value>{}</value></data></array>", string("base"));
                    let own = [member("name", &string(name)), member("repos", &repos), member("autoinstall", &string("c9s.ks"))];
                    format!("<value><struct>{}</struct></value>", own.concat())
                };
                value(&format!("<array><data>{}</data></array>", state.profiles.iter().map(row).collect::<String>()))
            }
            // One criterion, whose name is no string element; names are asked for.
            "find_system" => {
                let of = state.systems.iter().filter(|(_, profile)| *profile == first);
                value(&format!(
                    "<array><data>{}</data></array>",
                    of.map(|(n, _)| format!("<value>{}</value>", string(n))).collect::<String>()
                ))
            }
            "get_events" => {
                let rows = state.tasks.iter().map(|t| format!("<member><name>{}</name><value>{}</value></member>", t.id, status(t)));
                value(&format!("<struct>{}</struct>", rows.collect::<String>()))
            }
            "get_task_status" => match (state.stumbles.pop(), found(first, &state)) {
                (Some(answer), _) => answer,
                (None, Some(t)) => value(&status(&t)),
                (None, None) => fault("no event with that id"),
            },
            "get_event_log" => value(&string(&found(first, &state).map_or_else(|| "?".to_owned(), |t| escape(&t.log)))),
            "background_reposync" if texts.last().is_some_and(|t| t == TOKEN) => {
                let repos = texts[..texts.len() - 1].to_vec();
                let id = self.begin(&mut state, repos);
                match state.mood {
                    Mood::Silent => return None,
                    Mood::Garbles => value("<int>5</int>"),
                    Mood::Raises => fault("dictionary changed size during iteration"),
                    _ => value(&string(&id)),
                }
            }
            "background_reposync" => fault(&format!("invalid token: {}", texts.last().cloned().unwrap_or_default())),
            _ => fault(&format!("unknown remote method '{method}'")),
        })
    }

    fn begin(&self, state: &mut State, repos: Vec<String>) -> String {
        state.starts += 1;
        let id = format!("2026-11-22_034723_Reposync_{:032x}", state.starts);
        let mut lines = vec!["start_task(reposync); event_id(x)".to_owned()];
        lines.extend(repos.iter().map(|r| format!("reposync; ['{r}']")));
        if state.mood != Mood::Idles {
            lines.push("running: /usr/bin/dnf reposync".to_owned());
        }
        let ended = match state.mood {
            Mood::Hangs => "notification",
            Mood::Works | Mood::Silent | Mood::Garbles | Mood::Raises => {
                for repo in &repos {
                    copy(&self.source, &self.trees.join(repo));
                }
                lines.push("received on stdout: (1/2): \u{241b}[31mbash.rpm http://u:hunter2@h/".to_owned());
                lines.push("### TASK COMPLETE ###".to_owned());
                "complete"
            }
            Mood::Idles => {
                lines.push("### TASK COMPLETE ###".to_owned());
                "complete"
            }
            Mood::Fails => {
                lines.push("Exception value: 'cobbler reposync failed'".to_owned());
                lines.push("### TASK FAILED ###".to_owned());
                "failed"
            }
        };
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        // Somebody asks meanwhile: such lines are in every log.
        let other = "[Thread-98 (process_request_thread)] 2026-11-22 03:47:23,630 - INFO | REMOTE get_item(system,foreign.line)\n";
        let log = format!("{}{other}{}", own(&id, &lines[..1]), own(&id, &lines[1..]));
        state.tasks.push(Task { id: id.clone(), state: ended, log });
        id
    }

    fn record(&self) -> String {
        let text = |name: &str, text: &str| format!("<member><name>{name}</name><value><string>{text}</string></value></member>");
        format!(
            "<struct>{}{}{}{}{}<member><name>mirror_locally</name><value><boolean>1</boolean></value></member></struct>",
            text("name", "base"),
            text("breed", "yum"),
            text("arch", "x86_64"),
            text("mirror_type", "baseurl"),
            text("mirror", &self.upstream),
        )
    }
}

/// The texts between two marks, entities resolved.
fn between(text: &str, open: &str, close: &str) -> Vec<String> {
    let parts = text.split(open).skip(1).filter_map(|p| p.split_once(close));
    parts.map(|(t, _)| t.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

pub fn string(text: &str) -> String {
    format!("<string>{text}</string>")
}

pub fn value(inner: &str) -> String {
    format!("<params>\n<param>\n<value>{inner}</value>\n</param>\n</params>")
}

pub fn fault(text: &str) -> String {
    format!(
        "<fault>\n<value><struct>\n<member>\n<name>faultCode</name>\n<value><int>1</int></value>\n</member>\n<member>\n<name>faultString</name>\n\
         <value><string>&lt;class 'cobbler.cexceptions.CX'&gt;:'{text}'</string></value>\n</member>\n</struct></value>\n</fault>"
    )
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("readable").flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}
