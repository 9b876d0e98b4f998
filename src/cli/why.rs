//! `why RUN|PROMOTION`: every true reason why it does not go on now, or how it ended. `why REPO`: why its places are fresh, behind, torn or
//! frozen.

use jiff::Timestamp;
use serde_json::Value;

use super::Ctx;
use super::connect;
use super::failure::{Failure, Outcome};
use super::out::Out;
use crate::api::client::encode;
use crate::api::types::{RepoWhy, Why};
use crate::base::{instant, sanitise};
use crate::domain::promotion;
use crate::domain::run::{BadRunRef, RunRef, valid_name};

/// A run is `PIPELINE#NUMBER`, a promotion `PR-…`; another name is a repository of the site.
pub fn run(ctx: &Ctx, out: &mut Out, what: &str) -> Outcome {
    let path = if promotion::is_name(what) {
        format!("/v1/promotions/{}/why", encode(what))
    } else if !what.contains('#') {
        return repo(ctx, out, what);
    } else {
        let run: RunRef = what.parse().map_err(|e: BadRunRef| Failure::bad(e.to_string(), e.help()))?;
        format!("/v1/why/{}/{}", encode(&run.pipeline), run.number)
    };
    let site = ctx.site_to_look(out)?;
    let mut why: Why = connect::block_on(async { connect::read(ctx, &site, &path).await })?;
    if out.json {
        typed(out, &mut why.reasons);
        why.detail.iter_mut().for_each(instants);
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
    let mut why: RepoWhy = connect::block_on(async { connect::read(ctx, &site, &format!("/v1/why/{}", encode(name))).await })?;
    if out.json {
        typed(out, &mut why.reasons);
        out.value(&why);
        return Ok(());
    }
    out.line(format!("{} is {}", why.repo, sanitise::cell(&why.state)));
    for reason in &why.reasons {
        out.advice(format!("  {}", sanitise::cell(reason)));
    }
    Ok(())
}

/// Commands in the reasons can be typed as they stand.
fn typed(out: &Out, reasons: &mut [String]) {
    for reason in reasons {
        *reason = out.again(reason);
    }
}

/// `since_us`, in microseconds as the engine keeps it, becomes `since` in RFC 3339, like every time on the command line.
fn instants(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let names: Vec<String> = map.keys().filter(|k| k.ends_with("_us")).cloned().collect();
            for name in names {
                let at = map.remove(&name).and_then(|v| v.as_i64()).and_then(|us| Timestamp::from_microsecond(us).ok());
                let text = at.map(instant::utc);
                map.insert(name.trim_end_matches("_us").to_owned(), text.map_or(Value::Null, Value::String));
            }
            map.values_mut().for_each(instants);
        }
        Value::Array(all) => all.iter_mut().for_each(instants),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn instants_are_told_as_everywhere() {
        let mut v = json!({"type": "lock", "since_us": 1_795_688_285_836_103_i64, "until_us": null, "more": [{"at_us": 0}]});
        instants(&mut v);
        let want =
            json!({"type": "lock", "since": "2026-11-26T10:18:05.836Z", "until": null, "more": [{"at": "1970-01-01T00:00:00.000Z"}]});
        assert_eq!(v, want);
    }
}
