//! What is wrong with a TLS connection, in words for people. They rest on the library's kinds, not on its texts, which change.

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error};

/// Names of a certificate that are told.
const NAMES: usize = 3;

/// What is wrong, as far as it changes what a person can do. Each has its words and its advice in this file, and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// By an authority that is not trusted here.
    Issuer,
    Expired,
    NotYet,
    Name,
    Revoked,
    /// The certificate is of version 1.
    Version,
    /// It is an authority's own.
    Authority,
    /// No certificate is shown.
    Bare,
    /// What answers speaks no TLS.
    Plain,
    /// No version of TLS in common.
    Old,
    /// The server refuses this client.
    Refused,
    Other,
}

impl Flaw {
    #[cfg(test)]
    pub const ALL: [Self; 12] = [
        Self::Issuer,
        Self::Expired,
        Self::NotYet,
        Self::Name,
        Self::Revoked,
        Self::Version,
        Self::Authority,
        Self::Bare,
        Self::Plain,
        Self::Old,
        Self::Refused,
        Self::Other,
    ];

    /// What to do about it.
    pub const fn next(self) -> &'static str {
        match self {
            Self::Issuer => {
                "its authority is not trusted here: put the CA's certificate into /etc/pki/ca-trust/source/anchors and run update-ca-trust"
            }
            Self::Expired => "its certificate has expired: its operator must renew it; is this host's clock right?",
            Self::NotYet => "its certificate is not valid yet: is this host's clock right?",
            Self::Name => "its certificate is for another name: correct the address, or its operator the certificate",
            Self::Revoked => "its authority took the certificate back: its operator must replace it",
            Self::Version => "its certificate is of version 1, which is refused: it must be issued anew as version 3",
            Self::Authority => {
                "a server may not show an authority's own certificate, trusted or not: it needs one that an authority issued for it (CA:FALSE)"
            }
            Self::Bare => "its operator must give that server a certificate",
            Self::Plain => "write the address with http, or correct its port",
            Self::Old => "its operator must allow TLS 1.2 or 1.3",
            Self::Refused => "does it want a certificate of its clients, or know another name? its own log says why it refuses",
            Self::Other => "look at it: curl -v and the address",
        }
    }
}

/// The TLS error that an error is, or holds.
pub fn cause(e: &(dyn std::error::Error + 'static)) -> Option<(Flaw, String)> {
    if let Some(tls) = e.downcast_ref::<Error>() {
        return Some(words(tls));
    }
    // An io::Error does not show its inner error as its source, and may hold another io::Error.
    let io = e.downcast_ref::<std::io::Error>()?;
    cause(io.get_ref()?)
}

fn words(e: &Error) -> (Flaw, String) {
    match e {
        Error::InvalidCertificate(bad) => {
            let (flaw, text) = certificate(bad);
            (flaw, format!("its certificate {text}"))
        }
        Error::NoCertificatesPresented => (Flaw::Bare, "it shows no certificate".into()),
        Error::InvalidMessage(_) => (Flaw::Plain, "what answers there speaks no TLS: is its address http?".into()),
        Error::PeerIncompatible(_) => (Flaw::Old, "it speaks no TLS that is spoken here, which is 1.2 and 1.3".into()),
        Error::AlertReceived(why) => (Flaw::Refused, format!("it refuses: {why:?}")),
        other => (Flaw::Other, other.to_string()),
    }
}

fn certificate(bad: &CertificateError) -> (Flaw, String) {
    match bad {
        CertificateError::Expired => (Flaw::Expired, "has expired".into()),
        CertificateError::ExpiredContext { not_after, .. } => (Flaw::Expired, format!("has expired, on {}", day(*not_after))),
        CertificateError::NotValidYet => (Flaw::NotYet, "is not valid yet".into()),
        CertificateError::NotValidYetContext { not_before, .. } => {
            (Flaw::NotYet, format!("is not valid yet, but from {}", day(*not_before)))
        }
        CertificateError::UnknownIssuer => (Flaw::Issuer, "is by an authority that is not trusted here".into()),
        CertificateError::NotValidForName => (Flaw::Name, "is for another name".into()),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().take(NAMES).map(|n| n.split('"').nth(1).unwrap_or(n)).collect();
            let more = if presented.len() > NAMES { ", …" } else { "" };
            (Flaw::Name, format!("is for another name: {}{more}", names.join(", ")))
        }
        CertificateError::Revoked => (Flaw::Revoked, "was revoked".into()),
        // The kinds of the library below, which has no name here.
        CertificateError::Other(other) => match format!("{other:?}") {
            o if o.contains("CaUsedAsEndEntity") => (Flaw::Authority, "is that of an authority, as one that was signed by itself".into()),
            o if o.contains("UnsupportedCertVersion") => (Flaw::Version, "is of version 1".into()),
            o => (Flaw::Other, format!("is refused: {o}")),
        },
        other => (Flaw::Other, format!("is refused: {other:?}")),
    }
}

fn day(t: UnixTime) -> String {
    i64::try_from(t.as_secs())
        .ok()
        .and_then(|s| jiff::Timestamp::from_second(s).ok())
        .map_or_else(|| "a day that no calendar has".into(), |t| t.strftime("%F").to_string())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct CaUsedAsEndEntity;
    #[derive(Debug)]
    struct UnsupportedCertVersion;
    impl std::fmt::Display for CaUsedAsEndEntity {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a")
        }
    }
    impl std::fmt::Display for UnsupportedCertVersion {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("v")
        }
    }
    impl std::error::Error for CaUsedAsEndEntity {}
    impl std::error::Error for UnsupportedCertVersion {}

    fn other(e: impl std::error::Error + Send + Sync + 'static) -> CertificateError {
        CertificateError::Other(rustls::OtherError(std::sync::Arc::new(e)))
    }

    #[test]
    fn each_kind_has_words_and_the_advice_that_goes_with_them_wherever_it_is_wrapped() {
        let at = |s| UnixTime::since_unix_epoch(Duration::from_secs(s));
        let (time, not_after, not_before) = (at(1_800_000_000), at(1_700_000_000), at(1_900_000_000));
        let presented = ["DnsName(\"a.example\")", "IpAddress(::1)", "DnsName(\"b\")", "DnsName(\"c\")"].map(str::to_owned).to_vec();
        let expected = rustls::pki_types::ServerName::try_from("h").unwrap();
        let bad = Error::InvalidCertificate;
        let mut seen = Vec::new();
        for (e, said, advice) in [
            (bad(CertificateError::ExpiredContext { time, not_after }), "its certificate has expired, on 2023-11-14", "renew it"),
            (bad(CertificateError::Expired), "its certificate has expired", "clock"),
            (bad(CertificateError::NotValidYetContext { time, not_before }), "is not valid yet, but from 2030-03-17", "clock right"),
            (bad(CertificateError::NotValidYet), "is not valid yet", "clock right"),
            (bad(CertificateError::UnknownIssuer), "is by an authority that is not trusted here", "update-ca-trust"),
            (
                bad(CertificateError::NotValidForNameContext { expected, presented }),
                "its certificate is for another name: a.example, IpAddress(::1), b, …",
                "correct the address",
            ),
            (bad(CertificateError::NotValidForName), "is for another name", "correct the address"),
            (bad(CertificateError::Revoked), "was revoked", "replace it"),
            (bad(other(CaUsedAsEndEntity)), "signed by itself", "CA:FALSE"),
            (bad(other(UnsupportedCertVersion)), "of version 1", "version 3"),
            (bad(CertificateError::BadEncoding), "its certificate is refused: BadEncoding", "curl -v"),
            (Error::NoCertificatesPresented, "shows no certificate", "give that server a certificate"),
            (Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType), "speaks no TLS", "with http"),
            (Error::PeerIncompatible(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13), "which is 1.2 and 1.3", "1.2 or 1.3"),
            (Error::AlertReceived(rustls::AlertDescription::HandshakeFailure), "it refuses: HandshakeFailure", "its own log"),
        ] {
            let inner = std::io::Error::other(e);
            let (flaw, words) = cause(&std::io::Error::other(inner)).unwrap();
            assert!(words.contains(said) && flaw.next().contains(advice), "{words}: {}", flaw.next());
            seen.push(flaw);
        }
        assert!(Flaw::ALL.iter().all(|f| seen.contains(f)), "no kind is without its words: {seen:?}");
        assert_eq!(cause(&std::io::Error::other("else")), None);
    }
}
