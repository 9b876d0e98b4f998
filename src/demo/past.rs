//! The past of the demo: five promotions of el9 that are over, a quarter apart. This says what the trees held and who did what when; the real
//! engine is asked for it on a clock of the past, by whoever starts the demo. Nothing of it is written by hand.

use std::path::{Path, PathBuf};

use super::catalogue::{Repo, past};
use super::datacentres::{DATACENTRES, SERVED, replica_dir};
use super::files::mkdir_private;
use super::pairs::{self, Pool};
use super::people::{OPS, Person, SECURITY};
use super::places::{MARK, Places};
use super::publish::Index;
use super::quote::quoted;
use super::{Error, promotion, site};
use crate::base::durable;

/// The OS that is promoted.
pub const OS: &str = "el9";
/// The pipelines that judged the candidates: whether they install, and what their packages are.
pub const CANARY: &str = "quarter-canary";
pub const INSPECTOR: &str = "quarter-inspector";
/// What people say in a promotion behind its switches.
pub const STAGES: [&str; 3] = ["Images", "ISO and bundles", "Waves"];
/// When the last of it was over: seconds since the epoch. A machine whose clock is before that gets no past.
pub const ENDS: i64 = 1_777_593_600;

/// What happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// The datacentres serve the compose of so many quarters before the first one.
    Compose(u32),
    /// The wall clock is set to this, RFC 3339.
    At(&'static str),
    /// So many hours pass.
    Hours(i64),
    Ask(Ask),
    /// The newest promotion gets to this state, and nothing of it is at work.
    Until(&'static str),
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    pub who: Person,
    pub action: &'static str,
    pub of: Of,
    pub with: &'static [(&'static str, &'static str)],
    pub reason: &'static str,
}

/// What an action is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    Os,
    /// The newest promotion.
    Promotion,
    /// A stage of its run that waits for people.
    Stage(&'static str),
    /// A pipeline, until its run has ended.
    Pipeline(&'static str),
}

const fn ask(who: Person, action: &'static str, of: Of, reason: &'static str) -> Turn {
    Turn::Ask(Ask { who, action, of, with: &[], reason })
}

/// How a quarter differs from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The canary had not been written yet: its gate was waived.
    Waived,
    Plain,
    Halted,
    RolledBack,
}

/// One quarter: the compose, the morning on which its promotion was opened, its change.
type Quarter = (u32, &'static str, &'static [(&'static str, &'static str)], Kind);

const QUARTERS: [Quarter; 5] = [
    (4, "2025-04-07T14:05:00Z", &[("change", "CHG-demo-214")], Kind::Waived),
    (3, "2025-07-07T14:10:00Z", &[("change", "CHG-demo-263")], Kind::Plain),
    (2, "2025-10-06T14:02:00Z", &[("change", "CHG-demo-311")], Kind::Halted),
    (1, "2026-01-06T15:20:00Z", &[("change", "CHG-demo-358")], Kind::RolledBack),
    (0, "2026-04-07T14:04:00Z", &[("change", "CHG-demo-402")], Kind::Plain),
];

/// All of it, in its order.
pub fn story() -> Vec<Turn> {
    let mut out = Vec::new();
    for (back, opened, with, kind) in QUARTERS {
        let promotion = |who, action, reason| ask(who, action, Of::Promotion, reason);
        out.extend([Turn::At(opened), Turn::Compose(back)]);
        out.push(Turn::Ask(Ask { who: OPS, action: "promote", of: Of::Os, with, reason: "the quarter's content" }));
        out.push(promotion(OPS, "promote-soak", "the soak begins"));
        if kind == Kind::Waived {
            out.extend([Turn::Until("GATED"), Turn::Hours(150)]);
            let why = "the canary is not written yet; el9 was installed by hand in the lab, log in the change";
            for who in [OPS, SECURITY] {
                out.push(Turn::Ask(Ask { who, action: "promote-waive", of: Of::Promotion, with: &[("gate", "G4")], reason: why }));
            }
        } else {
            out.extend([Turn::Until("GATED"), Turn::Hours(150)]);
            for pipeline in [CANARY, INSPECTOR] {
                out.push(ask(OPS, "run", Of::Pipeline(pipeline), "the candidate of the quarter"));
            }
        }
        out.extend([Turn::Until("READY"), Turn::Hours(14)]);
        out.push(promotion(OPS, "promote-approve", "a week in the lab without news"));
        out.push(Turn::Hours(3));
        out.push(promotion(SECURITY, "promote-approve", "CVE list read, nothing open against stable"));
        out.extend([Turn::Until("APPROVED"), Turn::Hours(1)]);
        out.push(promotion(OPS, "promote-start", "the window is open"));
        out.push(Turn::Until("IMAGING"));
        if kind == Kind::Halted {
            out.push(Turn::Hours(2));
            out.push(promotion(SECURITY, "promote-halt", "image builders fail on a full disk: no image of this content goes out today"));
            out.extend([Turn::Until("HALTED"), Turn::Hours(4)]);
            out.push(promotion(OPS, "promote-resume", "the builders have room again"));
            out.push(Turn::Until("IMAGING"));
        }
        let said = ["images built and smoke-tested", "ISO and bundles are on the shelf", "every wave is through"];
        for ((stage, said), hours) in STAGES.into_iter().zip(said).zip([22, 5, 141]) {
            out.push(Turn::Hours(hours));
            out.push(ask(OPS, "approve", Of::Stage(stage), said));
        }
        out.push(Turn::Until("CLOSED"));
        if kind == Kind::RolledBack {
            out.push(Turn::Hours(39));
            out.push(promotion(OPS, "promote-rollback", "database hosts lose their multipath devices after a reboot"));
            out.push(Turn::Until("ROLLED-BACK"));
        }
    }
    out
}

/// The trees of the past, and where its engine finds its site.
pub struct Past<'a> {
    places: &'a Places,
    index: &'a Index,
    pool: Pool,
}

impl<'a> Past<'a> {
    pub(super) fn new(places: &'a Places, index: &'a Index) -> Self {
        Self { places, index, pool: Pool::default() }
    }

    pub fn state_dir(&self) -> &Path {
        &self.places.state_dir
    }

    /// A directory of its own: what judged the candidates is no pipeline of today.
    pub fn config_dir(&self) -> PathBuf {
        config_dir(self.places)
    }

    /// The datacentres serve this compose from now on.
    pub fn lay(&mut self, back: u32) -> Result<(), Error> {
        let compose = past::of(self.index.seed, back);
        let pool = self.places.own().join("pool");
        self.pool.add(self.index, &self.places.upstream_dir(), &pool, compose.packages.iter())?;
        pairs::lay_past(&compose, self.index.seed, &self.pool, &self.places.replicas_dir(), false)
    }

    /// Its site file and its pipeline, and what was stable before the first of its promotions.
    pub(super) fn begin(&mut self, owner: &str) -> Result<(), Error> {
        let oldest = past::of(self.index.seed, past::OLDEST);
        let pool = self.places.own().join("pool");
        self.pool.add(self.index, &self.places.upstream_dir(), &pool, oldest.packages.iter())?;
        pairs::lay_past(&oldest, self.index.seed, &self.pool, &self.places.replicas_dir(), true)?;
        let dir = self.config_dir();
        mkdir_private(&dir.join("pipelines"))?;
        let key = promotion::key(&self.places.own())?;
        let served = |repo: Repo| {
            let name = SERVED.iter().find(|(r, _)| *r == repo).map_or("", |(_, name)| name);
            replica_dir(&self.places.replicas_dir(), DATACENTRES[0]).join(name)
        };
        let text = site::of_past(self.places, owner, &served) + &promotion::site(&self.places.replicas_dir(), key.as_deref());
        let pipeline = |name: &str| dir.join("pipelines").join(format!("{name}.yml"));
        for (path, text) in [(dir.join("site.toml"), text), (pipeline(CANARY), canary()), (pipeline(INSPECTOR), inspector())] {
            durable::replace(&path, text.as_bytes(), 0o600).map_err(Error::io("writing", &path))?;
        }
        Ok(())
    }

    /// What only the past needed goes.
    pub(super) fn end(&self) -> Result<(), Error> {
        pairs::clear_past(&self.places.replicas_dir())?;
        remove(&self.config_dir())
    }
}

fn config_dir(places: &Places) -> PathBuf {
    places.own().join("past")
}

fn remove(path: &Path) -> Result<(), Error> {
    let gone = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match gone {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("removing", path)(e)),
        _ => Ok(()),
    }
}

/// Takes back a past that was cut short: everything but the mark and what was there before it.
pub(super) fn forget(places: &Places) -> Result<(), Error> {
    let keep = [MARK.into(), places.own(), places.upstream_dir(), places.mirror_dir()];
    let keep: Vec<_> = keep.iter().filter_map(|p: &PathBuf| p.file_name()).collect();
    for item in std::fs::read_dir(&places.state_dir).map_err(Error::io("listing", &places.state_dir))? {
        let item = item.map_err(Error::io("listing", &places.state_dir))?;
        if !keep.contains(&item.file_name().as_os_str()) {
            remove(&item.path())?;
        }
    }
    remove(&config_dir(places))
}

fn canary() -> String {
    judge(CANARY, "Every requirement of el9-latest has a provider", "rpm", "Closure", "content/closure")
}

fn inspector() -> String {
    judge(INSPECTOR, "Every package of el9-latest is what its metadata says", "inspector", "Inspect", "content/inspect")
}

fn judge(name: &str, description: &str, kind: &str, stage: &str, uses: &str) -> String {
    let tree = Repo::ALL.map(|r| format!("\"${{repos.{}.tree}}\"", r.id())).join(", ");
    format!(
        "# What judged the candidates of the demo's past.\nformat: 1\nname: {name}\ndescription: {description}\nviews: [canaries]\n\
         labels: {{canary: {kind}}}\noptions:\n  timeout: 90m\n  keep: {{runs: 1000, days: 3650}}\nstages:\n  - name: {stage}\n    \
         reads: el9-latest\n    idempotent: true\n    timeout: 30m\n    uses: {uses}\n    with:\n      tree: [{tree}]\n      set: {}\n",
        quoted("el9-latest")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_story_has_five_promotions_one_halted_and_one_rolled_back_and_two_people_in_each() {
        let story = story();
        let asked = |action: &str| story.iter().filter(|t| matches!(t, Turn::Ask(a) if a.action == action)).count();
        assert_eq!([asked("promote"), asked("promote-halt"), asked("promote-resume"), asked("promote-rollback")], [5, 1, 1, 1]);
        let by = |who: Person| story.iter().filter(|t| matches!(t, Turn::Ask(a) if a.action == "promote-approve" && a.who == who)).count();
        assert_eq!((by(OPS), by(SECURITY)), (5, 5));
        // Time goes one way, and is over before the past ends.
        let (mut now, mut last) = (0, 0);
        for turn in &story {
            match turn {
                Turn::At(t) => now = t.parse::<jiff::Timestamp>().unwrap().as_second(),
                Turn::Hours(h) => now += h * 3_600,
                Turn::Compose(back) => assert!(past::time(*back) < now, "{back}"),
                _ => {}
            }
            assert!(now >= last, "{turn:?}");
            last = now;
        }
        assert!(last < ENDS);
    }
}
