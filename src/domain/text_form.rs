//! The words of an enum: one list gives the form that is stored and sent, and the way back from it.

/// `text_form!(Level { Low = "low", High = "high" })` gives `as_str`, `WORDS`, `NAMES`, `Display` and `FromStr`.
macro_rules! text_form {
    ($ty:ty { $($variant:ident = $text:literal),* $(,)? }) => {
        impl $ty {
            /// Every value with its word.
            pub const WORDS: &[(&'static str, Self)] = &[$(($text, Self::$variant)),*];

            /// The words alone.
            pub const NAMES: &[&'static str] = &[$($text),*];

            /// The stored and sent form.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
        impl std::fmt::Display for $ty {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.pad(self.as_str()) }
        }
        impl std::str::FromStr for $ty {
            type Err = ();
            fn from_str(s: &str) -> Result<Self, ()> {
                match s { $($text => Ok(Self::$variant),)* _ => Err(()) }
            }
        }
    };
}
pub(super) use text_form;
