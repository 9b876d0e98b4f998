//! I20: an engine with a history, a schedule that is far away and a client that follows it does nothing while there is nothing to do.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::support::idle::quiet_window;
use crate::support::{Home, history};

/// How long nothing must happen. No timer of the engine is due more often than once a minute.
const WINDOW: Duration = Duration::from_secs(5);
const LIMIT: Duration = Duration::from_secs(90);

#[test]
fn i20_an_idle_engine_neither_wakes_nor_writes() {
    let home = Home::new();
    home.site("time_zone = \"UTC\"\nscheduler = \"private\"\n");
    home.pipeline("yearly", "format: 1\nname: yearly\ntriggers:\n  - cron: 30 1 29 2 *\nstages:\n  - name: a\n    run: 'true'\n");
    home.pipeline("hello", "format: 1\nname: hello\nstages:\n  - name: a\n    run: echo hello\n");
    history::load(&home.state(), 300);
    home.qd(["engine", "start"]).expect(0);
    home.qd(["run", "hello", "--wait"]).expect(0);
    let pid = home.json(&["engine", "status"])["pid"].as_i64().unwrap() as i32;
    // A client that is there and asks for nothing.
    let _silent = UnixStream::connect(home.socket()).unwrap();
    let busy = quiet_window(pid, WINDOW, LIMIT);
    assert!(busy.is_some(), "the engine (pid {pid}) was never quiet for {WINDOW:?} within {LIMIT:?}");
    println!("windows of {WINDOW:?} before the quiet one: {busy:?}");
}
