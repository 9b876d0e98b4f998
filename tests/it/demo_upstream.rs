//! The demo's HTTP server as a stranger sees it: raw bytes over TCP, no client of ours.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use quarterdeck::demo::faults::{Fault, Match};
use quarterdeck::demo::upstream::{Options, Upstream};

use crate::support::wait::LIMIT;

struct Client(BufReader<TcpStream>);

#[derive(Debug)]
struct Got {
    status: u16,
    head: String,
    body: Vec<u8>,
    /// The body ended where its length said.
    whole: bool,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| l.split_once(": ").filter(|(k, _)| k.eq_ignore_ascii_case(name)).map(|(_, v)| v))
    }
}

impl Client {
    fn to(server: &Upstream) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) {
        let mut text = format!("{method} {path} HTTP/1.1\r\nhost: x\r\n");
        headers.iter().for_each(|(k, v)| text.push_str(&format!("{k}: {v}\r\n")));
        self.0.get_mut().write_all((text + "\r\n").as_bytes()).unwrap();
    }

    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)]) -> Got {
        self.send(method, path, headers);
        self.answer(method).expect("an answer")
    }

    fn answer(&mut self, method: &str) -> Option<Got> {
        let mut head = String::new();
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            head.push_str(line.trim_end());
            head.push('\n');
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut got = Got { status, head, body: Vec::new(), whole: true };
        if method != "HEAD" && status != 304 {
            let length: u64 = got.header("content-length").map_or(0, |l| l.parse().unwrap());
            let _ = (&mut self.0).take(length).read_to_end(&mut got.body);
            got.whole = got.body.len() as u64 == length;
        }
        Some(got)
    }
}

fn server() -> (tempfile::TempDir, Upstream, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let body: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
    std::fs::create_dir(dir.path().join("r")).unwrap();
    std::fs::write(dir.path().join("r/a.rpm"), &body).unwrap();
    std::fs::write(dir.path().join("r/.b.rpm.part"), b"half").unwrap();
    std::fs::write(dir.path().join("secret"), b"x").unwrap();
    let server = Upstream::start(&dir.path().join("r"), Options { port: None, log: Some(dir.path().join("log")) }).unwrap();
    (dir, server, body)
}

#[test]
fn one_connection_answers_whole_part_head_and_unchanged_in_turn() {
    let (dir, server, body) = server();
    let mut c = Client::to(&server);
    let first = c.ask("GET", "/a.rpm", &[]);
    assert_eq!((first.status, &first.body), (200, &body));
    assert_eq!(first.header("content-type"), Some("application/x-rpm"));
    let tag = first.header("etag").unwrap().to_owned();
    let part = c.ask("GET", "/a.rpm", &[("range", "bytes=100000-100099"), ("if-range", &tag)]);
    assert_eq!((part.status, &part.body[..]), (206, &body[100_000..100_100]));
    assert_eq!(part.header("content-range"), Some("bytes 100000-100099/200000"));
    let head = c.ask("HEAD", "/a.rpm", &[]);
    assert_eq!((head.status, head.header("content-length")), (200, Some("200000")));
    let same = c.ask("GET", "/a.rpm", &[("if-none-match", &tag)]);
    assert_eq!((same.status, same.header("etag")), (304, Some(tag.as_str())));
    let beyond = c.ask("GET", "/a.rpm", &[("range", "bytes=200000-")]);
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */200000")));
    // The same size and time, put there by rename: another file.
    let time = std::fs::metadata(dir.path().join("r/a.rpm")).unwrap().modified().unwrap();
    std::fs::write(dir.path().join("r/new"), vec![7u8; 200_000]).unwrap();
    std::fs::File::options().write(true).open(dir.path().join("r/new")).unwrap().set_modified(time).unwrap();
    std::fs::rename(dir.path().join("r/new"), dir.path().join("r/a.rpm")).unwrap();
    assert_eq!(c.ask("GET", "/a.rpm", &[("if-none-match", &tag)]).status, 200);
    assert_eq!((server.counters().requests(), server.counters().status(304), server.counters().ending(".rpm")), (6, 1, 6));
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert_eq!(log.lines().count(), 6);
    let line: serde_json::Value = serde_json::from_str(log.lines().nth(1).unwrap()).unwrap();
    assert_eq!((line["path"].as_str(), line["status"].as_u64(), line["bytes"].as_u64()), (Some("/a.rpm"), Some(206), Some(100)));
}

#[test]
fn it_lists_directories_and_gives_nothing_outside_or_half_written() {
    let (_dir, server, _) = server();
    let mut c = Client::to(&server);
    let list = c.ask("GET", "/", &[]);
    let page = String::from_utf8(list.body).unwrap();
    assert!(list.status == 200 && page.contains("<a href=\"a.rpm\">") && !page.contains("part"), "{page}");
    for (path, status) in [("/../secret", 400), ("/%2e%2e/secret", 400), ("/.b.rpm.part", 400), ("/nothing", 404), ("/a.rpm/x", 403)] {
        assert_eq!(c.ask("GET", path, &[]).status, status, "{path}");
    }
    assert_eq!(c.ask("DELETE", "/a.rpm", &[]).status, 405);
}

#[test]
fn each_fault_is_what_it_says() {
    let (_dir, server, body) = server();
    let a = || Match::Path("/a.rpm".into());
    let once = |fault: Fault| {
        server.faults().clear();
        server.faults().times(1, a(), fault);
        Client::to(&server).ask("GET", "/a.rpm", &[("range", "bytes=10-")])
    };
    let got = once(Fault::Status { code: 503, retry_after: Some(7) });
    assert_eq!((got.status, got.header("retry-after")), (503, Some("7")));
    let got = once(Fault::Html);
    assert!(got.status == 200 && got.header("content-type").unwrap().starts_with("text/html"));
    let got = once(Fault::Truncate { keep: 70_000 });
    assert_eq!((got.status, got.whole, got.body.len()), (206, false, 70_000));
    assert_eq!(got.body, body[10..70_010]);
    let got = once(Fault::FlipBit { at: 150_000 });
    let wrong: Vec<usize> = (0..got.body.len()).filter(|&i| got.body[i] != body[i + 10]).collect();
    assert_eq!((got.whole, wrong), (true, vec![149_990]));
    let got = once(Fault::FlipBit { at: u64::MAX });
    assert_ne!(got.body.last(), body.last());
    let got = once(Fault::Redirect { to: "/elsewhere".into() });
    assert_eq!((got.status, got.header("location")), (302, Some("/elsewhere")));
    let got = once(Fault::IgnoreRange);
    assert_eq!((got.status, got.body.len()), (200, 200_000));
    let got = once(Fault::WrongRange);
    assert_eq!((got.status, &got.body[..20]), (206, &body[..20]));
    let got = once(Fault::Replace { body: Arc::new(b"other".to_vec()) });
    assert_eq!((got.status, &got.body[..], got.header("etag")), (200, &b"other"[..], None));
    let got = once(Fault::Trickle { bytes: 50_000, every: Duration::from_millis(1) });
    assert_eq!((got.status, &got.body[..]), (206, &body[10..]));
    server.faults().clear();
    server.faults().always(a(), Fault::RedirectLoop);
    let mut c = Client::to(&server);
    let first = c.ask("GET", "/a.rpm", &[]);
    let second = c.ask("GET", first.header("location").unwrap(), &[]);
    assert_eq!((second.status, second.header("location")), (302, Some("/a.rpm?again=2")));
    server.faults().clear();
    server.faults().always(a(), Fault::Hangup);
    let mut c = Client::to(&server);
    c.send("GET", "/a.rpm", &[]);
    assert!(c.answer("GET").is_none());
}

#[test]
fn a_stall_and_a_mute_keep_the_connection_and_others_are_served() {
    let (_dir, server, body) = server();
    server.faults().times(1, Match::All, Fault::Stall { after: 1000 });
    server.faults().times(1, Match::All, Fault::Mute);
    let mut stalled = Client::to(&server);
    stalled.send("GET", "/a.rpm", &[]);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stalled.0.read_line(&mut head).unwrap(), 0);
    }
    let mut got = vec![0; 1000];
    stalled.0.read_exact(&mut got).unwrap();
    assert_eq!(got, body[..1000]);
    let mut mute = Client::to(&server);
    mute.send("GET", "/a.rpm", &[]);
    crate::support::until("the second request to be counted", || server.counters().requests() == 2);
    // Both are silent now, and a third is not held up by them.
    assert_eq!(Client::to(&server).ask("GET", "/a.rpm", &[]).body, body);
    for quiet in [&mut stalled, &mut mute] {
        quiet.0.get_ref().set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(matches!(quiet.0.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
    }
}
