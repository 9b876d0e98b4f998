//! Which proxy of the environment a request goes through, so that its failures are told as its own and not as the far end's.

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::HttpError;

/// A proxy that a variable names: for people, without its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Proxy {
    shown: String,
    variable: &'static str,
}

impl Proxy {
    /// The one that `url` is asked through. `env` reads a variable.
    fn of(url: &Url, env: impl Fn(&str) -> Option<String>) -> Option<Self> {
        if env("REQUEST_METHOD").is_some() {
            return None;
        }
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|n| Some((n, env(n)?)));
        let own = match url.scheme() {
            "http" => ["HTTP_PROXY", "http_proxy"],
            _ => ["HTTPS_PROXY", "https_proxy"],
        };
        let except = first(["NO_PROXY", "no_proxy"]).map(|(_, v)| v).unwrap_or_default();
        let to = url.as_str().parse().ok()?;
        // The library's own rules, one variable at a time: the first that names a proxy is the one that counts.
        [first(own), first(["ALL_PROXY", "all_proxy"])].into_iter().flatten().find_map(|(variable, value)| {
            let proxy = Matcher::builder().all(value).build().intercept(&to)?;
            Matcher::builder().all("http://x").no(except.clone()).build().intercept(&to)?;
            let at = proxy.uri();
            let shown = format!("{}://{}", at.scheme_str().unwrap_or("http"), at.authority().map_or("", |a| a.as_str()));
            Some(Self { shown: shown.rsplit_once('@').map_or(shown.clone(), |(_, host)| host.to_owned()), variable })
        })
    }
}

/// What went wrong between us and a proxy, as such; every other error as it is.
pub(super) fn blamed(error: HttpError, url: &Url) -> HttpError {
    match Proxy::of(url, |name| std::env::var(name).ok()) {
        Some(proxy) => proxy.told(error),
        None => error,
    }
}

impl Proxy {
    fn told(&self, error: HttpError) -> HttpError {
        let Self { shown, variable } = self;
        let credentials =
            || format!("wants other credentials than it was given (HTTP 407): put them into {variable}, as http://USER:PASSWORD@HOST:PORT");
        let (url, why, heals) = match error {
            HttpError::Status { url, status: 407, .. } => (url, credentials(), false),
            // Either may have said so.
            HttpError::Status { url, status: status @ (403 | 502..=504), retry_after, raw } => {
                let url = format!("{url} (through the proxy {shown}, from {variable})");
                return HttpError::Status { url, status, retry_after, raw };
            }
            HttpError::Connect { url, cause } if cause.contains("proxy authorization required") => (url, credentials(), false),
            HttpError::Connect { url, cause } if cause.contains(CLOSED) => {
                (url, "lets nobody through to this host: ask whoever runs it".to_owned(), true)
            }
            HttpError::Connect { url, cause } => {
                let cause = cause.rsplit_once(BELOW).map_or(cause.as_str(), |(_, below)| below);
                (url, format!("cannot be reached ({cause}): correct {variable}"), true)
            }
            // With this one we look up the host ourselves.
            HttpError::Dns { url, cause } if cause.contains("socks") => return HttpError::Dns { url, cause },
            HttpError::Dns { url, cause } => (url, format!("has a name that cannot be resolved ({cause}): correct {variable}"), true),
            other => return other,
        };
        HttpError::Proxy { url, cause: format!("the proxy {shown} (from {variable}) {why}, or name the host in no_proxy"), heals }
    }
}

/// How the library says that a tunnel was refused, and what it puts before the reason why none was begun.
const CLOSED: &str = "tunnel error: unsuccessful";
const BELOW: &str = "failed to create underlying connection: ";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str, env: &[(&str, &str)]) -> Option<(String, &'static str)> {
        let read = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        Proxy::of(&Url::parse(url).unwrap(), read).map(|p| (p.shown, p.variable))
    }

    #[test]
    fn the_variable_that_counts_is_named_and_nothing_secret_shown() {
        let found = |at: &str, variable: &'static str| Some((at.to_owned(), variable));
        assert_eq!(of("http://h/x", &[]), None);
        assert_eq!(of("http://h/x", &[("http_proxy", "http://u:hunter2@p:3128/")]), found("http://p:3128", "http_proxy"));
        assert_eq!(of("http://h/x", &[("http_proxy", "p:3128"), ("HTTP_PROXY", "http://big:1")]), found("http://big:1", "HTTP_PROXY"));
        assert_eq!(of("https://h/x", &[("http_proxy", "http://p:3128")]), None);
        assert_eq!(of("https://h/x", &[("all_proxy", "http://p:3128")]), found("http://p:3128", "all_proxy"));
        assert_eq!(of("http://h/x", &[("http_proxy", ""), ("ALL_PROXY", "p:1")]), found("http://p:1", "ALL_PROXY"));
        for except in ["h", "*", "example.org, h", ".h"] {
            assert_eq!(of("http://h/x", &[("http_proxy", "http://p:1"), ("no_proxy", except)]), None, "{except}");
        }
        assert_eq!(of("http://10.1.2.3/x", &[("http_proxy", "http://p:1"), ("NO_PROXY", "10.0.0.0/8")]), None);
        assert!(of("http://h/x", &[("http_proxy", "http://p:1"), ("REQUEST_METHOD", "GET")]).is_none());
    }

    #[test]
    fn a_proxy_is_blamed_for_what_is_its_own() {
        let proxy = Proxy { shown: "http://p:3128".into(), variable: "https_proxy" };
        let connect = |cause: &str| proxy.told(HttpError::Connect { url: "https://h/".into(), cause: cause.into() });
        let status = |status| proxy.told(HttpError::Status { url: "https://h/".into(), status, retry_after: None, raw: None });
        let e = connect("tunnel error: failed to create underlying connection: refused");
        assert_eq!(
            e.to_string(),
            "https://h/: the proxy http://p:3128 (from https_proxy) cannot be reached (refused): correct https_proxy, or name the host in no_proxy"
        );
        assert!(e.is_transient() && e.never_done());
        assert!(connect("tunnel error: unsuccessful").to_string().contains("lets nobody through to this host"));
        for e in [status(407), connect("tunnel error: proxy authorization required")] {
            assert!(e.to_string().contains("USER:PASSWORD") && !e.is_transient(), "{e}");
        }
        assert_eq!(status(404).to_string(), "https://h/: HTTP 404: not found");
        let e = status(502);
        assert_eq!(e.to_string(), "https://h/ (through the proxy http://p:3128, from https_proxy): HTTP 502: the server is in trouble");
        assert!(e.is_transient() && e.status() == Some(502));
    }
}
