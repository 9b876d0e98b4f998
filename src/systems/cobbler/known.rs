//! Values that nobody may see: the password, and the tokens that were given for it. Whatever a server says is looked through for them.

use std::sync::Mutex;

use zeroize::Zeroizing;

use crate::base::mask::{Masker, SHORTEST};

/// Tokens that are remembered; a client has one or two in its life.
const MOST: usize = 8;
/// So many letters of a value in a row give it away, whatever stands between them.
const RUN: usize = 10;
/// What is said in the place of a text that cannot be told without the value.
const UNTOLD: &str = "what it says repeats a secret, and is not shown";

/// Values that were sent to a server, or came from it.
#[derive(Default)]
pub struct Known(Mutex<Vec<Zeroizing<String>>>);

impl Known {
    pub fn learn(&self, value: &str) {
        let Ok(mut known) = self.0.lock() else { return };
        if known.iter().any(|k| k.as_str() == value) {
            return;
        }
        if known.len() == MOST {
            // The first is the password.
            known.remove(1);
        }
        known.push(Zeroizing::new(value.to_owned()));
    }

    /// The text without the forms that programs write.
    pub fn mask(&self, text: &str) -> String {
        let Ok(known) = self.0.lock() else { return UNTOLD.to_owned() };
        match Masker::new(known.iter().filter(|v| v.len() >= SHORTEST).map(|v| ("", v.as_bytes()))) {
            Ok(masker) => masker.text(text),
            Err(_) => UNTOLD.to_owned(),
        }
    }

    /// The same for a short text; one that still holds a large part of a value, in another case, backwards or with signs between, is not told
    /// at all.
    pub fn hide(&self, text: &str) -> String {
        let masked = self.mask(text);
        let Ok(known) = self.0.lock() else { return UNTOLD.to_owned() };
        let letters = bare(&masked);
        let backwards: String = letters.chars().rev().collect();
        let held = |value: &str| {
            let value = bare(value);
            let chars: Vec<char> = value.chars().collect();
            chars.windows(RUN).map(|w| w.iter().collect::<String>()).any(|part| letters.contains(&part) || backwards.contains(&part))
        };
        if known.iter().any(|v| held(v)) { UNTOLD.to_owned() } else { masked }
    }
}

/// Letters and digits only, without case.
fn bare(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;

    #[test]
    fn a_value_is_found_in_every_form_and_an_innocent_text_stays() {
        let token = "dGhpcyBpcyBhIHRva2Vu+/T0kEnT0kEnT0k=";
        let known = Known::default();
        known.learn("a pass/word");
        known.learn(token);
        let hex: String = token.bytes().map(|b| format!("{b:02x}")).collect();
        for form in [
            token.to_owned(),
            base64::prelude::BASE64_STANDARD.encode(token),
            token.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"),
            hex,
            token.to_uppercase(),
            token.chars().rev().collect(),
            token.chars().map(|c| format!("{c} ")).collect(),
            token[..20].to_owned(),
            format!("{}…", &token[10..26]),
            "a%20pass%2Fword".to_owned(),
        ] {
            let shown = known.hide(&format!("the session {form} is over"));
            assert!(shown == UNTOLD || shown == "the session *** is over" || shown == "the session ***= is over", "{form}: {shown}");
        }
        let plain = "internal error, unknown system name: this is a token of thanks";
        assert_eq!(known.hide(plain), plain);
    }
}
