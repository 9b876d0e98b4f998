//! Bytes of a secret on their way through the protocol: base64 in JSON, `***` wherever they might be printed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A value that is set. It is on one connection between two processes of one host, and in no answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Zeroizing<Vec<u8>>);

impl std::fmt::Debug for Sealed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&Zeroizing::new(STANDARD.encode(&*self.0)))
    }
}

impl<'de> Deserialize<'de> for Sealed {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(d)?);
        // The cause may quote what it could not decode.
        STANDARD.decode(text.as_bytes()).map(|v| Self(Zeroizing::new(v))).map_err(|_| serde::de::Error::custom("this is not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_whole_and_are_not_printed() {
        let sealed = Sealed(Zeroizing::new(b"h\xffnter2".to_vec()));
        let json = serde_json::to_string(&sealed).unwrap();
        assert_eq!(serde_json::from_str::<Sealed>(&json).unwrap(), sealed);
        assert_eq!(format!("{sealed:?}"), "***");
        let e = serde_json::from_str::<Sealed>("\"hunter2!\"").unwrap_err().to_string();
        assert!(!e.contains("hunter2"), "{e}");
    }
}
