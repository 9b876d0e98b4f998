//! The words of commands that start or change something: runs, approvals, actions, and the consent that goes with each.

use clap::Args;

use super::values::pair;

#[derive(Debug, Args)]
pub struct Run {
    /// Name of a file in CONFIG/pipelines, without .yml
    pub pipeline: String,
    /// A parameter
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    pub param: Vec<(String, String)>,
    #[command(flatten)]
    pub wait: Wait,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Clone, Copy, Args)]
pub struct Wait {
    /// Stay until it ends; the exit code is its verdict's
    #[arg(long)]
    pub wait: bool,
}

/// What an action may ask for beside its target.
#[derive(Debug, Clone, Args)]
pub struct Consent {
    /// Why; kept with the run and in the audit log
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// The name of the run or pipeline, where the action is dangerous
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
}

#[derive(Debug, Args)]
pub struct Change {
    /// PIPELINE#NUMBER
    pub run: String,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
#[command(after_help = "`quarterdeck why RUN` says who may approve and what is asked; `quarterdeck do deny RUN --reason TEXT` refuses.")]
pub struct Approve {
    /// PIPELINE#NUMBER
    pub run: String,
    /// An answer; also stage=NAME where several wait, and sha=… to approve only what `why` showed
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    pub param: Vec<(String, String)>,
    /// Kept with the decision and in the audit log
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub comment: String,
}

#[derive(Debug, Args)]
pub struct Again {
    /// PIPELINE#NUMBER
    pub run: String,
    #[command(flatten)]
    pub wait: Wait,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct Replay {
    /// PIPELINE#NUMBER
    pub run: String,
    /// A parameter that differs from the first time
    #[arg(short, long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    pub param: Vec<(String, String)>,
    #[command(flatten)]
    pub wait: Wait,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct Do {
    /// Id of the action
    pub action: String,
    /// What it is done to, as `quarterdeck actions` says: pipelines, runs, promotions, repositories, holds, OS majors; none for the engine
    pub target: Vec<String>,
    /// An argument of the action, or a parameter of the pipeline
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub with: Vec<(String, String)>,
    #[command(flatten)]
    pub consent: Consent,
}

#[derive(Debug, Args)]
pub struct OnlyConsent {
    #[command(flatten)]
    pub consent: Consent,
}
