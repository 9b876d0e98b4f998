//! `why RUN|PROMOTION`: every true reason why it does not go on now, or how it ended. `why REPO`: why its places are fresh, behind, torn or
//! frozen.

use super::Ctx;
use super::connect;
use super::failure::{Failure, Outcome};
use super::out::Out;
use crate::api::client::encode;
use crate::api::types::{RepoWhy, Why};
use crate::base::sanitise;
use crate::domain::promotion;
use crate::domain::run::{BadRunRef, RunRef, valid_name};

/// A run is `PIPELINE#NUMBER`, a promotion `PR-…`; another name is a repository of the site.
pub fn run(ctx: &Ctx, out: &mut Out, what: &str) -> Outcome {
    let path = if promotion::is_name(what) {
        format!("/v1/promotions/{}/why", encode(what))
    } else if !what.contains('#') {
        return repo(ctx, out, what);
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
        out.advice(format!("  {}", sanitise::cell(reason)));
    }
    Ok(())
}

fn repo(ctx: &Ctx, out: &mut Out, name: &str) -> Outcome {
    if !valid_name(name) {
        let help = "quarterdeck get runs lists runs (PIPELINE#NUMBER), quarterdeck get repos repositories";
        return Err(Failure::bad(format!("`{}` is neither a run nor a repository", sanitise::cell(name)), help));
    }
    let site = ctx.site_to_look(out)?;
    let why: RepoWhy = connect::block_on(async { connect::read(ctx, &site, &format!("/v1/why/{}", encode(name))).await })?;
    if out.json {
        out.value(&why);
        return Ok(());
    }
    out.line(format!("{} is {}", why.repo, sanitise::cell(&why.state)));
    for reason in &why.reasons {
        out.advice(format!("  {}", sanitise::cell(reason)));
    }
    Ok(())
}
