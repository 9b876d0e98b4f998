//! The themes that are built in, out of `themes/`.

use super::sheet::{self, Sheet, Slip};
use crate::base::suggest;

/// Name and text. The first is the one where nobody says otherwise.
pub const BUILT_IN: [(&str, &str); 7] = [
    ("dark", include_str!("../../themes/dark.toml")),
    ("light", include_str!("../../themes/light.toml")),
    ("high-contrast", include_str!("../../themes/high-contrast.toml")),
    ("deuteranopia", include_str!("../../themes/deuteranopia.toml")),
    ("tritanopia", include_str!("../../themes/tritanopia.toml")),
    ("ansi16", include_str!("../../themes/ansi16.toml")),
    ("mono", include_str!("../../themes/mono.toml")),
];

/// A built-in theme and those that it inherits from; none where there is none of this name.
pub fn built_in(name: &str) -> Option<Result<Sheet, Vec<Slip>>> {
    let (_, text) = BUILT_IN.iter().find(|(n, _)| *n == name)?;
    Some(sheet::read(text, &mut |parent| {
        // A theme cannot be its own ancestor: each of these inherits from one above it.
        let at = |n: &str| BUILT_IN.iter().position(|(b, _)| *b == n);
        match built_in(parent).filter(|_| at(parent) < at(name)) {
            Some(Ok(sheet)) => Ok(sheet),
            _ => Err(format!("the built-in theme `{parent}` cannot be inherited by `{name}`")),
        }
    }))
}

/// What to say where a theme of this name is not among `names`.
pub fn unknown(name: &str, names: &[String]) -> String {
    let near = suggest::nearest(name, names.iter().map(String::as_str)).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
    format!("{near}There are: {}", names.join(" "))
}
