//! HTTP for calls: one POST, one answer, sent once. Redirects are not followed, for the body may hold a password; no connection is kept,
//! so that none is found closed and the call sent again.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, CONTENT_TYPE};
use reqwest::{Certificate, StatusCode};
use tokio::time::Instant;
use url::Url;
use zeroize::Zeroizing;

use super::proxy::blamed;
use super::{Client, HttpError, Patience, Response, base, bounded, chain, classify, retry_after};
use crate::wire::address::shown;

/// A file of authorities: the whole bundle of a system is a quarter of a megabyte.
const MAX_CA: u64 = 4 << 20;

/// Whose certificates are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Authorities beside those of the system, PEM.
    pub ca: Option<Vec<u8>>,
    /// Any certificate will do: whoever stands between can read everything.
    pub anybody: bool,
}

impl Trust {
    /// With the authorities of a file, where one is named. Blocks.
    pub fn of(ca: Option<&Path>, anybody: bool) -> io::Result<Self> {
        Ok(Self { ca: ca.map(authorities).transpose()?, anybody })
    }
}

fn authorities(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe that nobody writes must not be waited for.
    let mut file = OpenOptions::new().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut pem = Vec::new();
    file.by_ref().take(MAX_CA + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > MAX_CA { Err(io::Error::other("it is larger than 4 MiB, and no file of authorities is")) } else { Ok(pem) }
}

impl Client {
    /// A client for calls. Proxies are taken from the environment.
    pub fn for_calls(patience: Patience, trust: &Trust) -> Result<Self, HttpError> {
        let other = |cause: String| HttpError::Other { url: "HTTP client".into(), cause };
        let own = match &trust.ca {
            Some(pem) => Certificate::from_pem_bundle(pem).map_err(|e| other(format!("the authority's file is no PEM: {}", chain(&e))))?,
            None => Vec::new(),
        };
        if trust.ca.is_some() && own.is_empty() {
            return Err(other("the authority's file holds no certificate".into()));
        }
        let builder = || {
            base(patience)
                .pool_max_idle_per_host(0)
                .redirect(reqwest::redirect::Policy::none())
                .tls_danger_accept_invalid_certs(trust.anybody)
        };
        let built = builder().tls_certs_merge(own.clone()).build();
        // As `Client::new`: a machine without root certificates can still speak plain http, or to our own authority.
        let inner = built.or_else(|_| builder().tls_certs_only(own).build()).map_err(|e| other(chain(&e)))?;
        Ok(Self { inner, patience, credentials: None })
    }

    /// Sends a POST and waits for the head of its answer. A status other than 200 is an error.
    pub async fn post(&self, url: &Url, kind: &'static str, body: Zeroizing<Vec<u8>>, budget: Duration) -> Result<Response, HttpError> {
        let at = shown(url);
        let deadline = Instant::now() + budget;
        let request = self.inner.post(url.clone()).header(CONTENT_TYPE, kind).header(ACCEPT_ENCODING, "identity");
        // The library keeps its copy until it is sent, and does not wipe it.
        let request = request.body(body.to_vec());
        drop(body);
        let inner = bounded(deadline, budget, self.patience.stall, &at, request.send()).await?;
        let inner = inner.map_err(|e| blamed(classify(&e, &at), url))?;
        let (status, headers) = (inner.status(), inner.headers());
        if status.is_redirection() {
            let why = "it answers with a redirect, and calls are not sent to another address".to_owned();
            return Err(HttpError::Redirect { url: at, why });
        }
        if status != StatusCode::OK {
            let refused = HttpError::Status { url: at, status: status.as_u16(), retry_after: retry_after(headers), raw: None };
            return Err(blamed(refused, url));
        }
        Ok(Response::of(inner, at, deadline, budget, self.patience.stall))
    }
}

impl HttpError {
    /// The request certainly did not reach the program that would have acted on it: no connection, or refused on the way.
    /// A broken TLS record may come behind the request, and a proxy's 408 while the program behind it is still at work.
    pub const fn never_done(&self) -> bool {
        match self {
            Self::Dns { .. } | Self::Connect { .. } | Self::Proxy { .. } | Self::Redirect { .. } => true,
            Self::Status { status, .. } => matches!(status, 400..=407 | 409..=499),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_authorities_is_bounded_and_no_pipe_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("ca.pem");
        std::fs::write(&at, "x").unwrap();
        assert_eq!(Trust::of(Some(&at), true).unwrap(), Trust { ca: Some(b"x".to_vec()), anybody: true });
        std::fs::File::create(&at).unwrap().set_len(MAX_CA + 1).unwrap();
        assert!(Trust::of(Some(&at), false).unwrap_err().to_string().contains("larger than 4 MiB"));
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).unwrap();
        assert!(Trust::of(Some(&pipe), false).unwrap_err().to_string().contains("no") && Trust::of(None, false).unwrap().ca.is_none());
        assert!(Trust::of(Some(dir.path()), false).is_err());
    }
}
