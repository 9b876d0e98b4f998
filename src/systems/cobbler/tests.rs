//! Recorded bodies of a real Cobbler, and a socket that answers with what a real one, or what stands before it, may answer.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::Duration;

use url::Url;
use zeroize::Zeroizing;

use super::*;
use crate::wire::http::Trust;
use crate::wire::xmlrpc::{Document, Limits, Value, read};
use crate::wire::{HttpError, RpcError};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cobbler")
}

fn body(name: &str) -> String {
    std::fs::read_to_string(fixtures().join(format!("{name}.response.xml"))).unwrap()
}

fn parse(text: &str) -> Result<Document, RpcError> {
    read(text.as_bytes(), Limits::default(), is_secret, None)
}

fn value(name: &str) -> Value {
    match parse(&body(name)).unwrap() {
        Document::Answer(Ok(v)) => v,
        other => panic!("{name}: {other:?}"),
    }
}

fn rows<T>(name: &str, one: fn(&Value) -> Result<T, CobblerError>) -> Vec<T> {
    value(name).array().unwrap().iter().map(|v| one(v).unwrap()).collect()
}

#[test]
fn every_recorded_body_is_read_and_keeps_no_password() {
    let mut seen = 0;
    for file in std::fs::read_dir(fixtures()).unwrap().map(|e| e.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "xml")) {
        let name = file.display().to_string();
        let got =
            read(std::fs::read(&file).unwrap().as_slice(), Limits::default(), is_secret, None).unwrap_or_else(|e| panic!("{name}: {e}"));
        let (request, fault) = (name.contains(".request."), name.contains("fault") || name.contains("unknown-profile"));
        assert_eq!(matches!(got, Document::Call { .. }), request, "{name}");
        if fault && !request && name.ends_with("-fault.response.xml") {
            assert!(matches!(got, Document::Answer(Err(_))), "{name}");
        }
        if let Document::Answer(Ok(v)) = &got {
            no_secret(v, &name);
        }
        seen += 1;
    }
    assert!(seen >= 25, "{seen}");
}

fn no_secret(v: &Value, at: &str) {
    for (name, v) in v.members().unwrap_or_default() {
        assert!(!name.contains("pass") || name.starts_with("authentication"), "{at}: {name}");
        no_secret(v, at);
    }
    v.array().unwrap_or_default().iter().for_each(|v| no_secret(v, at));
}

#[test]
fn names_of_secrets_are_known_and_other_names_are_not_taken_for_them() {
    for name in [
        "power_pass",
        "default_password_crypted",
        "ldap_search_passwd",
        "redhat_management_key",
        "rootpw",
        "power_identity_file",
        "x_token",
    ] {
        assert!(is_secret(name), "{name}");
    }
    for name in ["name", "mirror", "comment", "kernel_options", "power_user", "bypass_proxy", "auth_module"] {
        assert!(!is_secret(name), "{name}");
    }
}

#[test]
fn records_are_read_into_words_of_ours() {
    let repos = rows("get_repos", repo);
    let names: Vec<&str> = repos.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["base9-latest", "appstream9-latest", "base9", "appstream9"]);
    let first = &repos[0];
    assert_eq!((first.breed.as_str(), first.arch.as_str(), first.mirror_type.as_str()), ("yum", "x86_64", "baseurl"));
    assert!(first.mirrored && first.updated && !repos[2].mirrored && first.only.is_empty());
    assert_eq!(first.modified_us, 1_795_319_075_499_143);
    let distros = rows("get_distros", distro);
    assert_eq!((distros[0].os_version.as_str(), distros[0].arch.as_str()), ("rhel9", "x86_64"));
    assert!(distros[0].tree.ends_with("/9-stream/BaseOS/x86_64/os"));
    let profiles = rows("get_profiles", profile);
    let own = profiles.iter().find(|p| p.name == "c9s-vmware-x86_64").unwrap();
    assert_eq!(own.repos.as_deref(), Some(&["base9".to_owned(), "appstream9".to_owned()][..]));
    assert_eq!(profiles.iter().find(|p| p.name == "c9s-vmware-db").unwrap().parent, "c9s-vmware-x86_64");
    let inherits = Value::Struct(vec![("name".into(), "p".into()), ("repos".into(), "<<inherit>>".into())]);
    assert!(profile(&inherits).unwrap().repos.is_none(), "what is inherited is not made up");
    assert!(repo(&value("get_system-missing")).is_err(), "`~` is no record");
}

#[test]
fn lost_noarch_is_seen_in_the_settings() {
    let with = |flags: &str| Settings { reposync_flags: flags.into(), ..Settings::default() };
    let usual = "--newest-only --delete --refresh --remote-time";
    assert!(with(usual).loses_noarch("x86_64"));
    assert!(!with(usual).loses_noarch("none") && !with("--delete -a noarch").loses_noarch("x86_64"));
    assert!(!with("--arch=noarch").loses_noarch("x86_64") && with("-a src").loses_noarch("x86_64"));
}

#[test]
fn tasks_are_read_with_blanks_in_their_ids_and_running_is_called_notification() {
    let all = events(&value("get_events")).unwrap();
    assert_eq!(all.len(), 2);
    assert!(all[0].id.contains("Create bootable bootloader images") && all[1].is_reposync() && !all[1].is_running());
    assert!(events(&value("get_events-empty")).unwrap().is_empty());
    let running = event("x", &value("get_task_status-running")).unwrap();
    assert!(running.is_running() && running.started_us == 1_795_319_243_630_425);
    assert_eq!(event("x", &value("get_task_status-complete")).unwrap().state, TaskState::Complete);
    assert!(event("x", &Value::Array(vec![])).is_err() && events(&Value::Nil).is_err());
}

/// The id that a log's own first line bears, and the log.
fn task_log(name: &str) -> (String, String) {
    let text = value(name).text().unwrap().to_owned();
    (text[1..].split_once(']').unwrap().0.to_owned(), text)
}

#[test]
fn a_log_is_cut_to_its_own_thread_and_says_what_was_done() {
    let (id, text) = task_log("get_event_log-reposync");
    let log = read_log(&id, &text);
    assert_eq!(log.repos, ["base9-latest", "appstream9-latest"]);
    assert_eq!((log.ended, log.trouble.as_deref(), log.all), (Some(Ended::Complete), None, false));
    assert!(log.untouched.is_empty());
    assert!(log.lines.iter().any(|l| l.contains("(1/29): bash-5.1-1.el9.x86_64.rpm")), "what dnf said follows without a prefix");
    for (name, repo) in [("get_event_log-reposync-killed", "base9-latest"), ("get_event_log-reposync-upstream-down", "appstream9-latest")] {
        let (id, text) = task_log(name);
        let log = read_log(&id, &text);
        assert_eq!((log.ended, log.trouble.as_deref()), (Some(Ended::Failed), Some("cobbler reposync failed")), "{name}");
        assert_eq!(log.repos, [repo]);
    }
    let (id, text) = task_log("get_event_log-power");
    let log = read_log(&id, &text);
    assert!(text.contains("REMOTE get_item") && text.contains("password=lab"));
    assert!(!log.lines.iter().any(|l| l.contains("REMOTE") || l.contains("password=lab")), "{:?}", log.lines);
    assert!(log.lines.iter().any(|l| l == "password=***"));
}

#[test]
fn complete_in_no_time_is_told_from_work() {
    let line = |text: &str| format!("[e] 2026-11-25 23:42:45,447 - INFO | {text}\n");
    let idle =
        ["start_task(reposync); event_id(e)", "reposync; ['nope']", "hello, reposync", "run, reposync, run!", "### TASK COMPLETE ###"];
    let text: String = idle.iter().map(|t| line(t)).collect();
    let log = read_log("e", &text);
    assert_eq!((log.untouched.as_slice(), log.ended), (&["nope".to_owned()][..], Some(Ended::Complete)));
    // Another thread's lines are not its own, nor is what follows them; a line of dnf that begins with a bracket is.
    let mixed =
        format!("{}[Thread-1] 2026-11-25 23:42:45,447 - INFO | REMOTE x\nstray\n{}[SKIPPED] bash.rpm\n", line("a"), line("running: dnf"));
    assert_eq!(read_log("e", &mixed).lines, ["a", "running: dnf", "[SKIPPED] bash.rpm"]);
    let hostile = line("received on stdout: \u{1b}[31mred\u{7} http://u:hunter2@h/");
    let shown = read_log("e", &hostile).lines.join("");
    assert!(!shown.contains('\u{1b}') && !shown.contains("hunter2"), "{shown}");
    let whole = read_log("e", &line("reposync; [None]"));
    assert!(whole.all && whole.repos.is_empty());
}

#[test]
fn faults_are_told_apart_and_a_token_is_never_repeated() {
    let fault = |name: &str| match parse(&body(name)).unwrap() {
        Document::Answer(Err(f)) => f.text,
        other => panic!("{other:?}"),
    };
    let token = fault("check_access-invalid-token");
    let none = known::Known::default();
    let said = |text: &str| error::said(text, &none);
    assert!(token.contains("AAAA") && !said(&token).text.contains("AAAA") && said(&token).token);
    assert_eq!(said(&fault("login-fault")).class, "CX");
    let of = |name: &str| error::of_fault("m", "u", &fault(name), &none);
    assert_eq!(of("login-fault"), CobblerError::Login { user: "u".into() });
    assert_eq!(of("check_access-invalid-token"), CobblerError::Token);
    assert_eq!(of("unknown-method-fault"), CobblerError::Method { method: "m".into() });
    assert!(matches!(of("get_task_status-unknown"), CobblerError::Forgotten { .. }));
    let odd = said("<class 'ValueError'>:'a \u{1b}[31m password=hunter2'");
    assert!(odd.class == "ValueError" && !odd.text.contains('\u{1b}') && !odd.text.contains("hunter2"), "{odd:?}");
    assert_eq!(said("plain").class, "");
}

// ---- over a socket -------------------------------------------------------------------------------------------------------------------

/// Answers connection after connection with these bytes, and gives what was asked.
fn serve(answers: Vec<String>) -> (Url, JoinHandle<Vec<String>>) {
    serve_on(TcpListener::bind("127.0.0.1:0").unwrap(), answers)
}

fn serve_on(listener: TcpListener, answers: Vec<String>) -> (Url, JoinHandle<Vec<String>>) {
    let url = Url::parse(&format!("http://{}/cobbler_api", listener.local_addr().unwrap())).unwrap();
    let server = std::thread::spawn(move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let (mut text, mut buf) = (Vec::new(), [0; 4096]);
            loop {
                let n = stream.read(&mut buf).unwrap();
                text.extend_from_slice(&buf[..n]);
                let all = String::from_utf8_lossy(&text).into_owned();
                if n == 0 || all.contains("</methodCall>") {
                    asked.push(all);
                    break;
                }
            }
            stream.write_all(answer.as_bytes()).unwrap();
        }
        asked
    });
    (url, server)
}

fn http(kind: &str, body: &str) -> String {
    format!("HTTP/1.0 200 OK\r\nContent-type: {kind}\r\nContent-length: {}\r\n\r\n{body}", body.len())
}

fn xml(inner: &str) -> String {
    http(
        "text/xml",
        &format!(
            "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n<value>{inner}</value>\n</param>\n</params>\n</methodResponse>\n"
        ),
    )
}

fn fault(text: &str) -> String {
    http(
        "text/xml",
        &format!(
            "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member>\
             <member><name>faultString</name><value><string>{text}</string></value></member></struct></value></fault></methodResponse>"
        ),
    )
}

const BAD_TOKEN: &str = "&lt;class 'cobbler.cexceptions.CX'&gt;:'invalid token: hunter2hunter2'";

fn server_of(url: &Url) -> Server {
    let password = Some(Zeroizing::new("hunter2".to_owned()));
    Server {
        name: "alder".into(),
        url: url.clone(),
        user: "ops".into(),
        password,
        timeout: Duration::from_secs(60),
        trust: Trust::default(),
    }
}

fn client(url: &Url) -> Cobbler {
    Cobbler::new(server_of(url)).unwrap()
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

#[tokio::test]
async fn a_token_that_is_refused_is_fetched_anew_once_and_the_call_goes_on() {
    let (url, server) = serve(vec![xml("<string>T1</string>"), fault(BAD_TOKEN), xml("<string>T2</string>"), xml("<string>e1</string>")]);
    assert_eq!(client(&url).background_reposync(&names(&["a"]), 1).await.unwrap(), "e1");
    let asked = server.join().unwrap();
    assert!(asked[0].contains("hunter2") && asked[1].contains("T1") && asked[3].contains("T2") && asked[3].contains("<string>a</string>"));
    // Refused twice: an error without the token.
    let (url, server) = serve(vec![xml("T1"), fault(BAD_TOKEN), xml("T2"), fault(BAD_TOKEN)]);
    let e = client(&url).background_reposync(&names(&["a"]), 1).await.unwrap_err();
    assert!(e == CobblerError::Token && !format!("{e:?} {e}").contains("hunter2"));
    server.join().unwrap();
}

#[tokio::test]
async fn a_fault_that_repeats_our_token_in_any_form_is_told_without_it() {
    const TOKEN: &str = "dGhpcyBpcyBhIHRva2VuT0kEnT0kEnT0kEn=";
    let base64 = "ZEdocGN5QnBjeUJoSUhSdmEyVnVUMGtFblQwa0VuVDBrRW49";
    let spread: String = TOKEN.chars().flat_map(|c| [c, '\u{200b}']).collect();
    for form in [TOKEN.to_owned(), base64.to_owned(), TOKEN.replace('=', "%3D"), TOKEN.to_lowercase(), spread, "hunter2hunter2".to_owned()]
    {
        let answer = fault(&format!("&lt;class 'KeyError'&gt;:'no session {form} here'"));
        let (url, server) = serve(vec![xml(TOKEN), answer]);
        let c = Cobbler::new(Server { password: Some(Zeroizing::new("hunter2hunter2".into())), ..server_of(&url) }).unwrap();
        let e = c.background_reposync(&names(&["a"]), 1).await.unwrap_err();
        server.join().unwrap();
        let shown = format!("{e} {e:?}").replace(|c: char| !c.is_alphanumeric(), "").to_lowercase();
        let gives_away = [TOKEN, base64, "hunter2hunter2"].iter().any(|s| shown.contains(&s.to_lowercase()[..12]));
        assert!(matches!(e, CobblerError::Fault { .. }) && !gives_away, "{e:?}");
    }
}

#[tokio::test]
async fn the_record_of_another_repository_is_refused() {
    let record = |name: &str| {
        xml(&format!(
            "<struct><member><name>name</name><value><string>{name}</string></value></member>\
             <member><name>mirror</name><value><string>http://elsewhere/</string></value></member></struct>"
        ))
    };
    let (url, server) = serve(vec![record("base9"), record("base9-devel"), record("Base9")]);
    let c = client(&url);
    assert_eq!(c.repo("base9").await.unwrap().name, "base9");
    for got in ["base9-devel", "Base9"] {
        let e = c.repo("base9").await.unwrap_err();
        assert_eq!(e, CobblerError::Stranger { what: "repository", asked: "base9".into(), got: got.into() });
    }
    server.join().unwrap();
}

#[tokio::test]
async fn what_stands_between_is_told_from_cobbler_and_a_write_is_never_sent_twice() {
    let page = "<!DOCTYPE html><html><body>hunter2: please log in</body></html>";
    for (answer, words) in [
        (http("text/html; charset=utf-8", page), "a web page"),
        (http("text/xml", page), "no XML"),
        ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 7\r\n\r\nhunter2".to_owned(), "HTTP 502"),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned(), "redirect"),
        (http("text/xml", "<methodResponse><params><param><value><string>hunter2"), "ended early"),
        ("HTTP/1.0 200 OK\r\nContent-type: text/xml\r\nContent-length: 4000\r\n\r\n<methodResponse>".to_owned(), "cut off"),
        (String::new(), "cut off"),
    ] {
        let (url, server) = serve(vec![answer.clone()]);
        let e = client(&url).events().await.unwrap_err();
        server.join().unwrap();
        assert!(e.to_string().contains(words) && !format!("{e} {e:?} {}", e.next()).contains("hunter2"), "{answer}: {e}");
        assert!(e.is_far_end() && !e.next().is_empty());
        // The same in the place of a start: what may have arrived is unsure, what was turned away on the way is not.
        let (url, server) = serve(vec![xml("T1"), answer.clone()]);
        let e = client(&url).background_reposync(&names(&["a"]), 1).await.unwrap_err();
        assert_eq!(server.join().unwrap().len(), 2, "sent once");
        assert_eq!(matches!(e, CobblerError::Unsure { .. }), !answer.contains("302"), "{answer}: {e:?}");
    }
    // The port stays ours when nobody listens on it any more: another test would get it, and answer.
    let port = tokio::net::TcpSocket::new_v4().unwrap();
    port.set_reuseaddr(true).unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (url, server) = serve_on(TcpListener::bind(port.local_addr().unwrap()).unwrap(), vec![xml("T1")]);
    let cobbler = client(&url);
    cobbler.login().await.unwrap();
    server.join().unwrap();
    // It was certainly not sent.
    let e = cobbler.background_reposync(&names(&["a"]), 1).await.unwrap_err();
    assert!(matches!(e, CobblerError::Http(HttpError::Connect { .. })), "{e:?}");
}

#[tokio::test]
async fn answers_of_another_shape_are_errors_and_a_forgotten_task_is_called_so() {
    let (url, server) = serve(vec![
        fault("&lt;class 'cobbler.cexceptions.CX'&gt;:'no event with that id'"),
        xml("<string>~</string>"),
        xml("<int>3</int>"),
        xml("<array><data><value><int>1</int></value></data></array>"),
        xml("<string>?</string>"),
        fault("&lt;class 'cobbler.cexceptions.CX'&gt;:'login failed (ops)'"),
        xml(&format!(
            "<struct><member><name>version</name><value><string>3.3\u{9b}31m{}</string></value></member></struct>",
            "9".repeat(5_000)
        )),
    ]);
    let c = client(&url);
    assert_eq!(c.task("2026_Reposync_1").await.unwrap_err(), CobblerError::Forgotten { event: "2026_Reposync_1".into() });
    assert_eq!(c.repo("nope").await.unwrap_err(), CobblerError::Absent { what: "repository", name: "nope".into() });
    assert!(matches!(c.events().await, Err(CobblerError::Shape { found: "a number", .. })));
    assert!(matches!(c.systems_of("p").await, Err(CobblerError::Shape { .. })));
    assert_eq!(c.task_log("x").await.unwrap(), None);
    assert_eq!(c.login().await.unwrap_err(), CobblerError::Login { user: "ops".into() });
    let version = c.version().await.unwrap();
    assert!(version.starts_with("3.3") && version.chars().count() <= 121 && !version.contains(char::is_control), "{version}");
    server.join().unwrap();
    // A start that is answered with no task's id may have begun; a fault is told as one.
    for answer in ["<string>~</string>", "<int>5</int>", "<string></string>", "<string>a&#9;b</string>", "<array><data></data></array>"] {
        let (url, server) = serve(vec![xml("T1"), xml(answer)]);
        let e = client(&url).background_reposync(&names(&["a"]), 1).await.unwrap_err();
        assert!(matches!(e, CobblerError::Unsure { .. }), "{answer}: {e:?}");
        server.join().unwrap();
    }
}

#[tokio::test]
async fn long_lists_come_row_by_row() {
    let body = format!("<array><data>{}</data></array>", "<value><string>h</string></value>".repeat(20_000));
    let (url, server) = serve(vec![xml(&body)]);
    assert_eq!(client(&url).systems_of("p").await.unwrap().len(), 20_000);
    server.join().unwrap();
}
