//! `doctor`: asks the machine, the site and the engine, and prints one row a check. It works without an engine and with broken files.

mod cobbler;
mod site;
mod terminal;

use serde_json::json;

use super::Ctx;
use super::failure::{Failure, Outcome};
use super::out::{Out, Tone};
use crate::base::sanitise;
use crate::config::Site;
use crate::domain::doctor::{self, Row, State};
use crate::engine::doctor::cobbler::{ask, with_logins};
use crate::engine::doctor::{far, files, machine_rows};

pub fn run(ctx: &Ctx, out: &mut Out) -> Outcome {
    // A broken site file is a row, and no reason to say nothing about the rest.
    let site = ctx.dirs.load(ctx.uid);
    let known = site.is_ok();
    let site = site.unwrap_or_default();
    let mut rows = vec![doctor::terminal(&terminal::terminal())];
    // What steps get is what the engine has, not what this shell has.
    let (engine, machine) = site::engine(ctx, &site);
    rows.extend(machine.unwrap_or_else(|| machine_rows(&ctx.dirs.state, &site, ctx.uid)));
    rows.extend(files(&ctx.dirs, ctx.uid, known.then_some(&site)));
    rows.extend(engine);
    rows.extend(site::mirrors(ctx, &site));
    rows.extend(secrets(ctx, &site));
    let asked = super::connect::block_on(async { Ok(tokio::join!(far::ask(&site), ask(&site))) });
    let ((far, ahead), cobblers) = asked.unwrap_or_default();
    if !far.is_empty() {
        rows.push(doctor::skew(&ahead));
    }
    rows.extend(far.iter().map(doctor::far_end));
    rows.extend(with_logins(cobblers, cobbler::logins(ctx, &site)).iter().map(doctor::cobbler));
    print(out, &rows)
}

/// A shared engine that cannot be asked is a row of its own already; its secrets are then not known.
fn secrets(ctx: &Ctx, site: &Site) -> Vec<Row> {
    let names: Vec<String> = site.secrets.keys().cloned().collect();
    match super::secret::test_all(ctx, site, names.clone()) {
        Ok(all) => all.iter().map(|t| doctor::secret(&t.name, t.by_engine, t.error.as_deref())).collect(),
        Err(e) => names
            .into_iter()
            .map(|n| Row {
                check: format!("secret {n}"),
                state: State::Unknown,
                found: format!("the engine was not asked: {}", e.error.message),
                help: "see socket and engine; `quarterdeck secret test` asks again".into(),
            })
            .collect(),
    }
}

fn print(out: &Out, rows: &[Row]) -> Outcome {
    let worst = doctor::worst(rows);
    if out.json {
        let rows: Vec<Row> = rows.iter().map(|r| Row { help: out.again(&r.help), ..r.clone() }).collect();
        out.value(&json!({"what": "doctor", "state": worst, "rows": rows}));
    } else {
        let width = rows.iter().map(|r| sanitise::cell(&r.check).chars().count()).max().unwrap_or(0).min(40);
        for row in rows {
            let tone = match row.state {
                State::Ok => Tone::Good,
                State::Unknown => Tone::Dim,
                State::Warn => Tone::Warn,
                State::Fail => Tone::Bad,
            };
            let state = out.paint(tone, &format!("{:7}", row.state.as_str()));
            out.line(format!("{state}  {:width$}  {}", sanitise::cell(&row.check), sanitise::cell(&row.found)));
            for line in sanitise::lines(&row.help).lines() {
                out.advice(format!("{:9}{:width$}  -> {line}", "", ""));
            }
        }
        let count = |state| rows.iter().filter(|r| r.state == state).count();
        out.line(format!(
            "{} checks: {} ok, {} warn, {} fail, {} unknown",
            rows.len(),
            count(State::Ok),
            count(State::Warn),
            count(State::Fail),
            count(State::Unknown)
        ));
    }
    if worst == State::Fail { Err(Failure::told(1)) } else { Ok(()) }
}
