//! Runs of other pipelines, as `pipeline plan` needs them for a parameter of type `run`: an engine that runs is asked, none is started.

use super::Ctx;
use super::connect::{self, Start};
use crate::api::client::encode;
use crate::api::types::Rows;
use crate::config::Site;
use crate::domain::run::RunRef;
use crate::pipeline::model::RunResult;
use crate::pipeline::params::RunQuery;

/// The error is the end of a sentence.
pub fn find(ctx: &Ctx, site: &Site, q: &RunQuery) -> Result<RunRef, String> {
    let fits = match q.result {
        RunResult::Any => "state=done",
        RunResult::Success => "verdict=success",
        RunResult::Failure => "state=done verdict!=success",
    };
    let number = q.number.map(|n| format!("number={n}")).unwrap_or_default();
    let path = format!("/v1/get/runs?limit=1&filter={}", encode(&format!("pipeline={} {number} {fits}", q.pipeline)));
    let known = connect::block_on(async { connect::read_from::<Rows>(ctx, site, &path, Start::Never).await });
    match (known, q.number) {
        (Ok(rows), _) => {
            let run = rows.rows.first().and_then(|r| r.get("run")?.as_str()?.parse().ok());
            run.ok_or_else(|| format!("the engine knows no such run of `{}`", q.pipeline))
        }
        // More than its name says of a run nobody knows here.
        (Err(_), Some(number)) => Ok(RunRef::new(&q.pipeline, number)),
        (Err(_), None) => Err(format!("no engine runs that could say which run of `{}` it is: name one", q.pipeline)),
    }
}
