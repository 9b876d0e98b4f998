//! What a piece of the screen means. Views name roles; only themes know colours.

/// Declares the roles with the names that theme files use.
macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Role {
            $($(#[$doc])* $name,)*
        }

        impl Role {
            /// Every role, in order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its name in theme files. What stands before the dot is the group, whose style it has where it has none of its own.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

roles! {
    /// What all else stands on; drawn over the whole screen where a theme gives it a background.
    Screen = "screen",
    /// Plain text.
    Text = "text",
    /// What matters less: ages, units, hints.
    Dim = "text.dim",
    Strong = "text.strong",
    /// First row: site, mode, screen, clock.
    Identity = "frame",
    /// The site is a demo.
    Demo = "frame.demo",
    ReadOnly = "frame.read-only",
    /// This console may change things.
    Armed = "frame.armed",
    /// Disconnected, or another thing that makes the whole screen doubtful.
    Alarm = "frame.alarm",
    /// Second row: the worst facts.
    Ribbon = "ribbon",
    RibbonWarn = "ribbon.warn",
    RibbonBad = "ribbon.bad",
    /// The count line above a list.
    Count = "list.count",
    /// Names of columns.
    Heading = "list.heading",
    /// The row under the cursor.
    Selected = "list.selected",
    /// Rows that are marked.
    Marked = "list.marked",
    /// A cell that changed a moment ago.
    Changed = "list.changed",
    /// Where a filter or a search matched.
    Match = "list.match",
    /// Title of the part below or beside a list.
    Section = "section",
    Border = "section.border",
    /// Names of values in a detail.
    Label = "section.label",
    Good = "state.good",
    Warn = "state.warn",
    Bad = "state.bad",
    Running = "state.running",
    Waiting = "state.waiting",
    Unknown = "state.unknown",
    /// A key in a hint.
    Key = "key",
    KeyText = "key.text",
    /// A key that does nothing now.
    KeyOff = "key.off",
    Prompt = "prompt",
    PromptError = "prompt.error",
    Notice = "notice",
    Dialog = "dialog",
    DialogDanger = "dialog.danger",
    /// The choice that Enter takes.
    DialogFocus = "dialog.focus",
}
