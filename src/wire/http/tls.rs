//! What is wrong with a TLS connection, in words for people. They rest on the library's kinds, not on its texts, which change.

use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error};

/// Names of a certificate that are told.
const NAMES: usize = 3;

/// The TLS error that an error is, or holds.
pub fn cause(e: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(tls) = e.downcast_ref::<Error>() {
        return Some(words(tls));
    }
    // An io::Error does not show its inner error as its source, and may hold another io::Error.
    let io = e.downcast_ref::<std::io::Error>()?;
    cause(io.get_ref()?)
}

fn words(e: &Error) -> String {
    match e {
        Error::InvalidCertificate(bad) => format!("its certificate {}", certificate(bad)),
        Error::NoCertificatesPresented => "it shows no certificate".into(),
        Error::InvalidMessage(_) => "what answers there speaks no TLS: is its address http?".into(),
        Error::PeerIncompatible(_) => "it speaks no TLS that is spoken here, which is 1.2 and 1.3".into(),
        Error::AlertReceived(why) => format!("it refuses: {why:?}"),
        other => other.to_string(),
    }
}

fn certificate(bad: &CertificateError) -> String {
    match bad {
        CertificateError::Expired => "has expired".into(),
        CertificateError::ExpiredContext { not_after, .. } => format!("has expired, on {}", day(*not_after)),
        CertificateError::NotValidYet => "is not valid yet".into(),
        CertificateError::NotValidYetContext { not_before, .. } => format!("is not valid yet, but from {}", day(*not_before)),
        CertificateError::UnknownIssuer => "is by an authority that is not trusted here".into(),
        CertificateError::NotValidForName => "is for another name".into(),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().take(NAMES).map(|n| n.split('"').nth(1).unwrap_or(n)).collect();
            let more = if presented.len() > NAMES { ", …" } else { "" };
            format!("is for another name: {}{more}", names.join(", "))
        }
        CertificateError::Revoked => "was revoked".into(),
        // The kinds of the library below, which has no name here.
        CertificateError::Other(other) => match format!("{other:?}") {
            o if o.contains("CaUsedAsEndEntity") => "is that of an authority, as one that was signed by itself".into(),
            o if o.contains("UnsupportedCertVersion") => "is of version 1".into(),
            o => format!("is refused: {o}"),
        },
        other => format!("is refused: {other:?}"),
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

    #[test]
    fn each_kind_has_words_wherever_it_is_wrapped() {
        let at = |s| UnixTime::since_unix_epoch(Duration::from_secs(s));
        let expired = CertificateError::ExpiredContext { time: at(1_800_000_000), not_after: at(1_700_000_000) };
        let presented = ["DnsName(\"a.example\")", "IpAddress(::1)", "DnsName(\"b\")", "DnsName(\"c\")"].map(str::to_owned).to_vec();
        let expected = rustls::pki_types::ServerName::try_from("h").unwrap();
        for (bad, said) in [
            (expired, "its certificate has expired, on 2023-11-14"),
            (CertificateError::UnknownIssuer, "its certificate is by an authority that is not trusted here"),
            (
                CertificateError::NotValidForNameContext { expected, presented },
                "its certificate is for another name: a.example, IpAddress(::1), b, …",
            ),
            (CertificateError::BadEncoding, "its certificate is refused: BadEncoding"),
        ] {
            let inner = std::io::Error::other(Error::InvalidCertificate(bad));
            assert_eq!(cause(&std::io::Error::other(inner)).as_deref(), Some(said));
        }
        assert_eq!(cause(&std::io::Error::other("else")), None);
    }
}
