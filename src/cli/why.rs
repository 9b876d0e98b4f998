//! `why RUN`: every true reason why it does not run now, or how it ended.

use super::Ctx;
use super::connect;
use super::failure::{Failure, Outcome};
use super::out::Out;
use crate::api::client::encode;
use crate::api::types::Why;
use crate::base::sanitise;
use crate::domain::run::{BadRunRef, RunRef};

pub fn run(ctx: &Ctx, out: &mut Out, run: &str) -> Outcome {
    let run: RunRef = run.parse().map_err(|e: BadRunRef| Failure::bad(e.to_string(), "quarterdeck get runs lists them"))?;
    let site = ctx.site_to_look(out)?;
    let why: Why = connect::block_on(async {
        let path = format!("/v1/why/{}/{}", encode(&run.pipeline), run.number);
        connect::read(ctx, &site, &path).await
    })?;
    if out.json {
        out.value(&why);
        return Ok(());
    }
    out.line(format!("{} is {}", why.run, why.state));
    for reason in &why.reasons {
        out.line(format!("  {}", sanitise::cell(reason)));
    }
    Ok(())
}
