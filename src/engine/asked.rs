//! What a request asks, read out of it: who asks, what its path names, its parameters, its body. What cannot be read is refused as the API
//! refuses anything.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::Uri;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::answer::Fault;
use super::blocking::blocking;
use super::guard::{self, Caller};
use super::identity::Peer;
use super::state::Engine;
use crate::api::ApiError;
use crate::api::types::MAX_BODY;
use crate::base::{sanitise, since, size, suggest};
use crate::domain::run::{BadRunRef, RunRef};

/// A long question may take so many seconds; the client asks again.
const LONGEST_WAIT: u64 = 60;

/// A body comes over a socket of this machine.
const BODY: Duration = Duration::from_secs(10);

/// The words behind the `?` of a path.
pub type Params = BTreeMap<String, String>;

/// Whether all words behind the `?` are of these, each once. One that is passed over would be the answer to another question.
pub fn only(uri: &Uri, names: &[&str]) -> Result<(), ApiError> {
    let asked = Query::<Vec<(String, String)>>::try_from_uri(uri);
    let Query(asked) = asked.map_err(|e| ApiError::bad(format!("the words behind `?` cannot be read: {}", e.body_text()), ""))?;
    for (i, (name, _)) in asked.iter().enumerate() {
        if !names.contains(&name.as_str()) {
            let near = suggest::nearest(name, names.iter().copied()).map(|n| format!("did you mean `{n}`?"));
            let all = || if names.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", names.join(", ")) };
            let help = near.map_or_else(all, |n| format!("{n} {}", all()));
            return Err(ApiError::bad(format!("{} has no parameter `{}`", uri.path(), sanitise::cell(name)), help));
        }
        if asked[..i].iter().any(|(n, _)| n == name) {
            return Err(ApiError::bad(format!("`{name}` is given twice"), "give it once"));
        }
    }
    Ok(())
}

/// A whole number among the parameters.
pub fn whole_number<N: FromStr>(q: &Params, key: &str) -> Result<Option<N>, ApiError> {
    q.get(key).map(|n| n.parse().map_err(|_| ApiError::bad(format!("`{key}` must be a whole number"), ""))).transpose()
}

/// An instant among the parameters, microseconds since 1970 UTC.
pub fn instant(q: &Params, key: &str) -> Result<Option<i64>, ApiError> {
    let parse = |text: &String| {
        let time: Result<jiff::Timestamp, _> = text.parse();
        time.map(|t| t.as_microsecond()).map_err(|_| ApiError::bad(format!("`{text}` is no time in RFC 3339"), ""))
    };
    q.get(key).map(parse).transpose()
}

/// A duration from now, or a time to come; microseconds since 1970 UTC.
pub fn ahead(text: &str, now_us: i64) -> Result<i64, ApiError> {
    since::ahead(text, now_us)
        .ok_or_else(|| ApiError::bad(format!("`{}` is no time", sanitise::cell(text)), "write 7d, or a time, RFC 3339"))
}

/// The end of a decision, as [`ahead`]: none is open-ended, and none lasts longer than `days`. `example` is one that would do.
pub fn end(text: &str, now_us: i64, days: i64, example: &str) -> Result<i64, ApiError> {
    const DAY_US: i64 = 86_400 * 1_000_000;
    let at = ahead(text, now_us)?;
    match at - now_us {
        n if n <= 0 => Err(ApiError::bad("it would end before it begins", format!("write {example}, or a time to come, RFC 3339"))),
        n if n > days * DAY_US => {
            Err(ApiError::bad(format!("it would last longer than {days} days: nothing is open-ended"), "say it anew when it ends"))
        }
        _ => Ok(at),
    }
}

/// How long an answer may wait for news.
pub fn patience(q: &Params) -> Result<Duration, ApiError> {
    Ok(Duration::from_secs(whole_number(q, "wait")?.unwrap_or(0).min(LONGEST_WAIT)))
}

/// Who asks, once it is clear that they may look at all.
pub struct Viewer(pub Caller);

impl FromRequestParts<Arc<Engine>> for Viewer {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, engine: &Arc<Engine>) -> Result<Self, Fault> {
        let peer = Extension::<Peer>::from_request_parts(parts, engine).await;
        let Extension(peer) = peer.map_err(|e| ApiError::failed(e.body_text(), ""))?;
        let engine = engine.clone();
        let look = move || {
            let caller = engine.caller(peer, engine.watch.uid());
            // A broken site file must not hide what runs; who may look is then what a site without roles says.
            let site = engine.watch.current().unwrap_or_default();
            guard::may_view(engine.ground(&site), &caller)?;
            Ok(Self(caller))
        };
        Ok(blocking(look).await?)
    }
}

/// The one name in a path.
pub struct Name(pub String);

/// The run that a path names, `{pipeline}/{number}`.
pub struct Run(pub RunRef);

/// The attempt of a run that a path names by its fence, `{pipeline}/{number}/{fence}`.
pub struct Attempt(pub RunRef, pub u64);

async fn segments<T: DeserializeOwned + Send>(parts: &mut Parts) -> Result<T, ApiError> {
    let path = Path::<T>::from_request_parts(parts, &()).await;
    path.map(|p| p.0).map_err(|e| ApiError::bad(format!("this is no path of the API: {}", e.body_text()), ""))
}

fn run(pipeline: &str, number: &str) -> Result<RunRef, ApiError> {
    format!("{pipeline}#{number}").parse().map_err(|e: BadRunRef| ApiError::bad(e.to_string(), e.help()))
}

impl<S: Sync> FromRequestParts<S> for Name {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        Ok(Self(segments(parts).await?))
    }
}

impl<S: Sync> FromRequestParts<S> for Run {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let (pipeline, number): (String, String) = segments(parts).await?;
        Ok(Self(run(&pipeline, &number)?))
    }
}

impl<S: Sync> FromRequestParts<S> for Attempt {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let (pipeline, number, fence): (String, String, String) = segments(parts).await?;
        let no_fence = |_| ApiError::bad(format!("`{fence}` is no attempt"), "an attempt is named by its fence, a whole number");
        Ok(Self(run(&pipeline, &number)?, fence.parse().map_err(no_fence)?))
    }
}

/// A JSON document that came to its end within the limit.
pub struct Body<T>(pub T);

/// Whatever a body says, it is not asked for. It is read all the same: what comes after its answer would end the connection, and a lease with it.
pub struct Unasked;

async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    within(BODY, request, state).await
}

async fn within<S: Send + Sync>(limit: Duration, request: Request, state: &S) -> Result<Bytes, ApiError> {
    let read = tokio::time::timeout(limit, Bytes::from_request(request, state)).await;
    let read = read.map_err(|_| {
        let words = format!("this is no request: its body did not come whole within {} s", limit.as_secs());
        ApiError::bad(words, "send it at once, of the length that its head says")
    })?;
    read.map_err(|e: BytesRejection| {
        ApiError::bad(format!("this is no request: {}", e.body_text()), format!("send one of {} at most", size::short(MAX_BODY as u64)))
    })
}

impl<S: Send + Sync> FromRequest<S> for Unasked {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        whole(request, state).await?;
        Ok(Self)
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Shape> FromRequest<S> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let read = serde_json::from_slice(&whole(request, state).await?);
        Ok(Self(read.map_err(|e| ApiError::bad(format!("this is no request: {e}"), format!("send {}", T::SHAPE)))?))
    }
}

/// How a document is to look, for who sent another.
pub trait Shape {
    const SHAPE: &'static str;
}

impl Shape for crate::api::types::Do {
    const SHAPE: &'static str = r#"{"action","target",…}"#;
}

impl Shape for crate::api::types::Arm {
    const SHAPE: &'static str = r#"{"seconds","reason"}"#;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_behind_the_question_mark_says_what_was_meant() {
        let asked = |uri: &str| only(&uri.parse().unwrap(), &["filter", "limit"]);
        assert_eq!(asked("/x"), Ok(()));
        assert_eq!(asked("/x?limit=3&filter=a%3Db+c"), Ok(()));
        let e = asked("/x?filtre=a").unwrap_err();
        assert_eq!(
            (e.message.as_str(), e.help.as_str()),
            ("/x has no parameter `filtre`", "did you mean `filter`? it takes filter, limit")
        );
        assert_eq!(asked("/x?a%1b%5b31m=1").unwrap_err().message, "/x has no parameter `a`");
        assert_eq!(asked("/x?limit=1&limit=1").unwrap_err().message, "`limit` is given twice");
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_not_waited_for() {
        let never = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
        let request = Request::new(axum::body::Body::from_stream(never));
        let e = within(Duration::ZERO, request, &()).await.unwrap_err();
        assert!(e.message.contains("did not come whole"), "{}", e.message);
    }
}
