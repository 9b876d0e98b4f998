//! Following a run to its end: drawn in place on a terminal, as lines elsewhere. The engine may die and come back meanwhile.

use std::collections::HashMap;
use std::time::Duration;

use super::Ctx;
use super::connect::{self, Start};
use super::failure::Failure;
use super::out::Out;
use super::stages;
use crate::api::client::{ANSWER, Trouble, encode};
use crate::api::types::RunDoc;
use crate::api::{ApiError, Code};
use crate::config::Site;
use crate::domain::run::RunRef;

/// The engine is asked so often how far the run is.
const EVERY: Duration = Duration::from_millis(200);
/// An engine that does not come back is given up after so many tries of connecting, each of which waits for a start.
const LIVES: u32 = 5;

/// How following ended.
#[derive(Debug)]
pub enum Followed {
    Ended(Box<RunDoc>),
    /// `leave` came first; the run goes on.
    Left,
}

/// Shows `run` until it has ended or `leave` resolves, and its stage table at the end.
pub async fn follow(
    ctx: &Ctx,
    site: &Site,
    out: &Out,
    run: &str,
    live: bool,
    leave: impl Future<Output = ()>,
) -> Result<Followed, Failure> {
    let run: RunRef = run.parse().map_err(|e: crate::domain::run::BadRunRef| ApiError::failed(e.to_string(), ""))?;
    let path = format!("/v1/runs/{}/{}", encode(&run.pipeline), run.number);
    let mut client = connect::connect(ctx, site, Start::OnDemand).await?;
    let mut screen = Screen { out, live, drawn: 0, told: HashMap::new() };
    let mut lives = LIVES;
    tokio::pin!(leave);
    loop {
        match client.get::<RunDoc>(&path, ANSWER).await {
            Ok(doc) if doc.state == "done" => {
                screen.end(&doc);
                return Ok(Followed::Ended(Box::new(doc)));
            }
            Ok(doc) => {
                lives = LIVES;
                screen.show(&doc);
            }
            Err(Trouble::Answer(e)) if e.code != Code::NoEngine => return Err(e.into()),
            Err(trouble) if lives == 0 => return Err(ApiError::from(trouble).into()),
            Err(_) => {
                // The run goes on without an engine; the next one takes it over.
                lives -= 1;
                client = connect::connect(ctx, site, Start::OnDemand).await?;
                continue;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = &mut leave => return Ok(Followed::Left),
        }
    }
}

struct Screen<'a> {
    out: &'a Out,
    live: bool,
    /// Lines of the last drawing.
    drawn: usize,
    /// What was told of each stage and step, without a terminal.
    told: HashMap<String, String>,
}

impl Screen<'_> {
    fn show(&mut self, doc: &RunDoc) {
        if self.live {
            let lines = stages::frame(self.out, doc, self.out.width.saturating_sub(1));
            self.draw(&lines);
            return;
        }
        for (key, text) in stages::moments(self.out, doc) {
            if self.told.get(&key) != Some(&text) {
                self.out.line(&text);
                self.told.insert(key, text);
            }
        }
    }

    /// One write: up over the last drawing, and down again with the new one.
    fn draw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.drawn > 0 {
            text.push_str(&format!("\u{1b}[{}A\u{1b}[J", self.drawn));
        }
        for line in lines {
            text.push_str(line);
            text.push('\n');
        }
        self.drawn = lines.len();
        self.out.raw(text.as_bytes());
    }

    fn end(&mut self, doc: &RunDoc) {
        if self.live {
            self.draw(&[]);
        } else {
            self.show(doc);
        }
        stages::table(self.out, doc);
    }
}
