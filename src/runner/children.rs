//! Where plans of other pipelines come from: what a stage asks for, and who answers it.

use crate::domain::actor::Actor;
use crate::domain::level::Level;
use crate::domain::run::RunRef;
use crate::pipeline::plan::Plan;

/// `trigger` of a run that a stage has started.
pub const TRIGGER: &str = "upstream stage";

/// What a stage asks for.
#[derive(Debug, Clone)]
pub struct Wish {
    pub pipeline: String,
    pub parameters: Vec<(String, String)>,
    /// The run, and its stage.
    pub parent: RunRef,
    pub stage: String,
    /// Who asked for the parent.
    pub who: Actor,
    /// What the stage was allowed to do when its run was frozen.
    pub level: Level,
}

/// Why a stage gets no run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoChild {
    /// The stage fails with this.
    Never(String),
    /// Nobody can say now: it is asked again.
    Later(String),
}

/// Gives plans of other pipelines, by the rules of the site. Blocks.
pub trait Children: Send + Sync {
    fn plan(&self, wish: &Wish) -> Result<Plan, NoChild>;
}

/// A runner by itself knows no pipelines.
pub struct NoChildren;

impl Children for NoChildren {
    fn plan(&self, wish: &Wish) -> Result<Plan, NoChild> {
        Err(NoChild::Never(format!("there is nobody here who knows pipeline `{}`", wish.pipeline)))
    }
}
