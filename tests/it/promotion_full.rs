//! A promotion of three datacentres, one of which has a disk of its own that fills up: before the soak, before the start, and between two switches.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::promotion::{Estate, WITHOUT};
use crate::support::{Home, skip, until, until_some};

/// A tmpfs of 64 MiB; unmounted with the value.
struct Disk(PathBuf);

impl Disk {
    fn mount(test: &str, at: &Path) -> Option<Self> {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "none"]).arg(at).output();
        if !mounted.is_ok_and(|o| o.status.success()) {
            skip(test, "this user may not mount a tmpfs");
            return None;
        }
        Some(Self(at.to_owned()))
    }

    /// Takes all that is left.
    fn fill(&self) {
        let mut f = std::fs::File::create(self.0.join("ballast")).unwrap();
        for chunk in [1 << 16, 4096, 1] {
            while f.write_all(&vec![b'x'; chunk]).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_disk_that_fills_up_halts_it_where_it_is_and_with_room_it_goes_on() {
    let home = Home::new();
    let Some(disk) = Disk::mount("promotion.full", &home.root().join("birch")) else { return };
    let e = Estate::on(home, Estate::plain(), WITHOUT, "");
    let why = |id: &str| e.qd(&["why", id]).stdout;
    // Before the soak: no candidate of two thirds.
    disk.fill();
    e.home.json(&["do", "promote", "el9"]);
    let id = e.promotion()["promotion"].as_str().unwrap().to_owned();
    e.qd(&["do", "promote-soak", &id]).expect(0);
    until("the soak to end", || why(&id).contains("the soak took nothing"));
    assert_eq!((e.promotion()["state"].as_str(), e.all_lead()), (Some("DRAFT"), e.old.clone()), "{}", why(&id));
    disk.free();
    e.qd(&["do", "promote-soak", &id]).expect(0);
    e.until("READY");
    // Before the start: what was agreed to had room.
    e.qd(&["approve", &id]).expect(0);
    disk.fill();
    e.start(&id).expect(4);
    let row = e.until("GATED");
    assert!(row["moved"].as_str().unwrap().contains("G10"), "{row}");
    assert!(why(&id).contains("birch has no room for two trees"), "{}", why(&id));
    disk.free();
    e.home.json(&["get", "promotions"]);
    e.qd(&["engine", "stop"]).expect(0);
    e.until("READY");
    e.qd(&["approve", &id]).expect(0);
    // Between the first switch and the second.
    let (mut engine, once) = e.armed("promotion.checked:2");
    let _ = e.start(&id);
    engine.wait();
    assert!(once.exists());
    disk.fill();
    let row = e.until("GATED");
    let candidate = row["to"].as_str().unwrap().to_owned();
    assert_eq!((row["switched"].as_u64(), e.all_lead()), (Some(1), vec![candidate.clone(), e.old[1].clone(), e.old[2].clone()]), "{row}");
    e.served();
    // Neither the run nor anybody else goes on.
    e.qd(&["approve", &id]).expect(4);
    disk.free();
    e.qd(&["engine", "stop"]).expect(0);
    e.until("READY");
    e.qd(&["approve", &id]).expect(0);
    e.start(&id).expect(0);
    e.until("IMAGING");
    assert_eq!(e.all_lead(), vec![candidate; 3]);
    e.served();
    // The way back on a full disk: it is taken, or it moves nothing.
    e.people(&id);
    e.until("CLOSED");
    disk.fill();
    e.qd(&["do", "promote-rollback", &id, "--reason", "r", "--confirm", &id]).expect(0);
    let back = until_some("the way back, or the reason why there is none", || {
        let row = e.promotion();
        let over = row["state"] == "ROLLED-BACK" || row["detail"].as_str().unwrap_or_default().contains("not rolled back");
        over.then_some(row)
    });
    if back["state"] != "ROLLED-BACK" {
        // Everything that needs space is made before the pointer moves: what failed has moved nothing.
        e.served();
        disk.free();
        e.qd(&["do", "promote-rollback", &id, "--reason", "r", "--confirm", &id]).expect(0);
        e.until("ROLLED-BACK");
    }
    assert_eq!(e.all_lead(), e.old);
    e.served();
}
