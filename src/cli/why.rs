//! `why RUN|PROMOTION`: every true reason why it does not go on now, or how it ended.

use super::Ctx;
use super::connect;
use super::failure::{Failure, Outcome};
use super::out::Out;
use crate::api::client::encode;
use crate::api::types::Why;
use crate::base::sanitise;
use crate::domain::promotion;
use crate::domain::run::{BadRunRef, RunRef};

pub fn run(ctx: &Ctx, out: &mut Out, what: &str) -> Outcome {
    let path = if promotion::is_name(what) {
        format!("/v1/promotions/{}/why", encode(what))
    } else {
        let run: RunRef = what.parse().map_err(|e: BadRunRef| Failure::bad(e.to_string(), "quarterdeck get runs lists them"))?;
        format!("/v1/why/{}/{}", encode(&run.pipeline), run.number)
    };
    let site = ctx.site_to_look(out)?;
    let why: Why = connect::block_on(async { connect::read(ctx, &site, &path).await })?;
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
