//! Why Cobbler did not do what was asked, each with what a person can do about it. Texts of the far end are cut and cleaned first.

use super::known::Known;
use crate::base::{redact, sanitise};
use crate::wire::http::Flaw;
use crate::wire::{HttpError, RpcError, excerpt};

/// What went wrong at a Cobbler server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CobblerError {
    #[error(transparent)]
    Http(HttpError),
    /// An answer that is a page for people.
    #[error("{url} answers with a web page, not with XML-RPC")]
    Page { url: String },
    #[error("{url}: {source}")]
    Answer { url: String, source: RpcError },
    /// The call itself could not be put together.
    #[error("{0}")]
    Call(RpcError),
    #[error("Cobbler refuses the login of `{user}`")]
    Login { user: String },
    #[error("Cobbler does not accept the token that it has just given")]
    Token,
    #[error("Cobbler denies {method} to `{user}`")]
    Denied { method: String, user: String },
    #[error("this Cobbler has no method {method}")]
    Method { method: String },
    #[error("Cobbler does not know the task {event} any more: it was restarted, and forgets all tasks with that")]
    Forgotten { event: String },
    #[error("{method}: {text}")]
    Fault { method: String, text: String },
    #[error("{method} answers with {found} where {wanted} should be")]
    Shape { method: String, wanted: &'static str, found: &'static str },
    #[error("Cobbler has no {what} `{name}`")]
    Absent { what: &'static str, name: String },
    #[error("Cobbler was asked for the {what} `{asked}`, and answers with `{got}`")]
    Stranger { what: &'static str, asked: String, got: String },
    /// Sent, and nobody can say whether it was done.
    #[error("{method} was sent, and no answer says whether it was done ({cause})")]
    Unsure { method: String, cause: String },
}

impl CobblerError {
    /// What to do about it.
    pub fn next(&self) -> &'static str {
        match self {
            Self::Http(HttpError::Tls { flaw: Flaw::Issuer, .. }) => {
                "its certificate is not trusted here: name its authority with `ca` in the table of the site file, or put it into the system's store"
            }
            Self::Http(HttpError::Tls { flaw, .. }) => flaw.next(),
            Self::Http(HttpError::Redirect { .. }) => "write the address that it leads to into `url` of the site file",
            Self::Http(HttpError::Status { status: 404, .. }) => {
                "is `url` the address of the API, such as https://HOST/cobbler_api? cobblerd itself answers at http://127.0.0.1:25151/"
            }
            Self::Http(HttpError::Status { status: 500..=599, .. }) => {
                "the web server answers and cobblerd behind it does not: systemctl status cobblerd on that host"
            }
            Self::Http(HttpError::Proxy { .. }) => "a Cobbler is as a rule asked without a proxy: name its host in no_proxy",
            Self::Http(_) => "is cobblerd up, and can this host reach it? quarterdeck doctor asks it once",
            Self::Page { .. } => {
                "a proxy or a login page stands between, or `url` is not that of the API, such as https://HOST/cobbler_api"
            }
            Self::Answer { .. } => {
                "is that a Cobbler? ask it by hand: curl -d '<methodCall><methodName>version</methodName></methodCall>' URL"
            }
            Self::Call(_) => "look at the value that is named",
            // One fault stands for both, and Cobbler lists its users to nobody.
            Self::Login { .. } => {
                "it does not say whether the user or the password is wrong: is `user` in /etc/cobbler/users.digest on that host? if not, add it                  there (htdigest /etc/cobbler/users.digest Cobbler USER) or correct `user`; if it is, set the password: quarterdeck secret set"
            }
            Self::Token => "is there more than one cobblerd behind that address? each has tokens of its own",
            Self::Denied { .. } => "its administrator grants rights in /etc/cobbler/users.conf, or by the module of authorization",
            Self::Method { .. } => "Cobbler 3.3 is what this version speaks: cobbler version",
            Self::Forgotten { .. } => {
                "the task ended with that daemon: verify the tree (mirror/verify), then start it anew: quarterdeck retry RUN"
            }
            Self::Fault { .. } => "see /var/log/cobbler/cobbler.log on that host",
            Self::Shape { .. } => "Cobbler 3.3 is what this version speaks: cobbler version",
            Self::Absent { .. } => "cobbler repo list shows what there is; check the spelling",
            Self::Stranger { .. } => {
                "nothing was done with it: does something between keep answers, or is there more than one cobblerd? cobbler repo report on that host"
            }
            Self::Unsure { .. } => "look at cobbler's tasks before it is started again: it may have begun",
        }
    }

    /// The far end could not be asked, or did not answer as it should: exit code 3.
    pub const fn is_far_end(&self) -> bool {
        !matches!(self, Self::Call(_) | Self::Absent { .. } | Self::Fault { .. } | Self::Forgotten { .. })
    }
}

/// A fault taken apart: `<class 'cobbler.cexceptions.CX'>:'message'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// `CX`, `ValueError`, …; empty where the text has another form.
    pub class: String,
    /// Cleaned: no control characters, no token, no password, bounded.
    pub text: String,
    /// The token was not accepted.
    pub token: bool,
}

/// Reads a fault's text. What may be a token is cut off, for Cobbler repeats it in clear; and what is known of ours, in whatever form.
pub fn said(text: &str, known: &Known) -> Said {
    let (class, rest) = match text.strip_prefix("<class '").and_then(|t| t.split_once("'>:")) {
        Some((class, rest)) => (class.rsplit('.').next().unwrap_or(class).to_owned(), rest),
        None => (String::new(), text),
    };
    let rest = rest.trim();
    let quoted = |q: char| rest.len() >= 2 && rest.starts_with(q) && rest.ends_with(q);
    let rest = if quoted('\'') || quoted('"') { &rest[1..rest.len() - 1] } else { rest };
    let token = rest.starts_with("invalid token");
    let rest = if token { "invalid token" } else { rest };
    // Cleaned first: signs that nobody sees must not hide a value from who looks for it.
    let clean = |t: &str| excerpt(&known.hide(&redact::text(&sanitise::cell(t))));
    Said { class: clean(&class), text: clean(rest), token }
}

/// What a fault means for the call.
pub(super) fn of_fault(method: &str, user: &str, text: &str, known: &Known) -> CobblerError {
    let said = said(text, known);
    let t = said.text.as_str();
    let method = method.to_owned();
    if said.token {
        CobblerError::Token
    } else if t.starts_with("login failed") {
        CobblerError::Login { user: user.to_owned() }
    } else if t.starts_with("no event with that id") {
        CobblerError::Forgotten { event: String::new() }
    } else if t.starts_with("unknown remote method") {
        CobblerError::Method { method }
    } else if t.starts_with("authorization failure") {
        CobblerError::Denied { method, user: user.to_owned() }
    } else {
        CobblerError::Fault { method, text: said.text }
    }
}
