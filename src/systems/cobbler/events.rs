//! Cobbler's tasks: `id → [start, name, state, read_by]`, as `get_events` and `get_task_status` tell them.

use super::CobblerError;
use crate::base::sanitise;
use crate::wire::xmlrpc::Value;

/// How a task stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TaskState {
    /// `notification` in 3.3, where `running` is never set.
    Running,
    /// It ended. Not that it worked.
    Complete,
    Failed,
    /// A word of another version.
    Other(String),
}

impl TaskState {
    fn read(word: &str) -> Self {
        match word {
            "notification" | "running" => Self::Running,
            "complete" => Self::Complete,
            "failed" => Self::Failed,
            other => Self::Other(sanitise::cell(&other.chars().take(40).collect::<String>())),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Running => "running",
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Other(word) => word,
        }
    }
}

/// One task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// As Cobbler wrote it, blanks and parentheses included: it is sent back.
    pub id: String,
    /// Microseconds since 1970 UTC, by Cobbler's clock. It never changes: the end is in the log only.
    pub started_us: i64,
    /// `Reposync`, `Sync`, …
    pub name: String,
    pub state: TaskState,
}

impl Event {
    /// By the name that Cobbler gives its tasks.
    pub fn is_reposync(&self) -> bool {
        self.name == "Reposync"
    }

    /// Cobbler says so. One that it was in when it restarted is forgotten, and not running.
    pub fn is_running(&self) -> bool {
        self.state == TaskState::Running
    }
}

/// One task as `get_task_status` tells it.
pub fn event(id: &str, value: &Value) -> Result<Event, CobblerError> {
    let wrong =
        |found: &'static str| CobblerError::Shape { method: "get_task_status".into(), wanted: "[start, name, state, readers]", found };
    let parts = value.array().ok_or_else(|| wrong(value.kind()))?;
    let [start, name, state, ..] = parts else { return Err(wrong("a shorter list")) };
    match (start.number(), name.text(), state.text()) {
        // Beyond the year 5000 it is no time.
        (Some(start), Some(name), Some(state)) if (0.0..1e11).contains(&start) => Ok(Event {
            id: id.to_owned(),
            started_us: (start * 1e6) as i64,
            name: sanitise::cell(&name.chars().take(80).collect::<String>()),
            state: TaskState::read(state),
        }),
        _ => Err(wrong("other types")),
    }
}

/// All tasks that Cobbler remembers, oldest first.
pub fn events(value: &Value) -> Result<Vec<Event>, CobblerError> {
    let members =
        value.members().ok_or_else(|| CobblerError::Shape { method: "get_events".into(), wanted: "a struct", found: value.kind() })?;
    let mut out = members.iter().map(|(id, v)| event(id, v)).collect::<Result<Vec<_>, _>>()?;
    out.sort_by(|a, b| (a.started_us, &a.id).cmp(&(b.started_us, &b.id)));
    Ok(out)
}
