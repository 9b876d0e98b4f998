//! What a key is: the type of its value, what it means, and whether this version has it.

/// The type of a value.
#[derive(Debug, Clone, Copy)]
pub enum Ty {
    /// Any text, kept as it is.
    Text,
    /// A text of one line that is not empty.
    Line,
    /// A text with `${…}`.
    Template,
    /// A condition of `pipeline::expr`.
    Expr,
    /// A script; nothing is interpolated in it.
    Script,
    /// A regular expression that the whole value must match.
    Regex,
    /// A regular expression that a line of a log is searched with.
    Search,
    /// `[a-z0-9][a-z0-9._-]*`, at most 64 bytes.
    Name,
    /// The name of a parameter: it becomes an environment variable, which must not change what the shell itself does.
    Variable,
    /// The name of an environment variable that the file's author sets; PATH and the like are theirs to set.
    EnvName,
    /// A matrix key: it becomes `matrix_KEY`.
    MatrixKey,
    Bool,
    Int {
        min: i64,
        max: i64,
    },
    Number {
        min: f64,
        max: f64,
    },
    /// `90s`, `1h30m`, `15d`.
    Duration {
        zero: bool,
    },
    /// `200MiB`.
    Size,
    Level,
    Cron,
    /// An IANA time zone.
    Zone,
    /// `2026-01-05 03:30`, or the date alone.
    Moment,
    /// `exit N`, `failure`, `timeout`, `stall`, `lost`.
    RetryOn,
    /// One of a few words; `later` ones belong to a later version, with what they come with.
    Word {
        words: &'static [(&'static str, &'static str)],
        later: &'static [(&'static str, &'static str)],
    },
    List(&'static Ty),
    /// A single value counts as a list of one.
    OneOrMore(&'static Ty),
    Map(&'static Context),
    /// A single value, or the longer form.
    Either(&'static Ty, &'static Context),
    /// Checked elsewhere: the fields of a step kind.
    Any,
}

/// Whether this version has a key.
#[derive(Debug, Clone, Copy)]
pub enum Status {
    Here,
    /// `what` this version lacks, and what to do `instead`.
    Later {
        what: &'static str,
        instead: &'static str,
    },
}

/// One key of one context.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    pub name: &'static str,
    pub ty: &'static Ty,
    pub required: bool,
    pub doc: &'static str,
    pub status: Status,
}

/// A kind of mapping, such as a stage.
#[derive(Debug)]
pub struct Context {
    /// Unique; the JSON Schema's definition.
    pub name: &'static str,
    /// For messages: `a stage`.
    pub noun: &'static str,
    pub keys: &'static [Key],
    /// Free keys beside the named ones: type of the name, type of the value, doc.
    pub free: Option<(&'static Ty, &'static Ty, &'static str)>,
}

impl Context {
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|k| k.name == name)
    }

    /// Keys that this version has.
    pub fn here(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().filter(|k| matches!(k.status, Status::Here))
    }
}

impl Ty {
    /// For people: `a duration such as 90s, 15m, 1h30m`.
    pub fn describe(&self) -> String {
        match self {
            Self::Text | Self::Line => "text".into(),
            Self::Template => "text; ${params.NAME}, ${matrix.KEY}, ${repos.NAME.FIELD}, ${stages.X.outputs.N} are filled in".into(),
            Self::Expr => "condition, such as `not params.dry_run`".into(),
            Self::Script => "script; values arrive as environment variables".into(),
            Self::Regex => "regular expression for the whole value".into(),
            Self::Search => "regular expression that a line must hold".into(),
            Self::Name => "name: a-z, 0-9, `.`, `_`, `-`; at most 64 characters".into(),
            Self::Variable | Self::EnvName | Self::MatrixKey => "variable name: letters, digits and `_`".into(),
            Self::Bool => "true or false".into(),
            Self::Int { min, max: i64::MAX } => format!("whole number from {min}"),
            Self::Int { min, max } => format!("whole number from {min} to {max}"),
            Self::Number { min, max } => format!("number from {min} to {max}"),
            Self::Duration { .. } => "duration, such as 90s, 15m, 1h30m, 15d".into(),
            Self::Size => "size, such as 200MiB".into(),
            Self::Level => "danger level: L0, L1, L2 or L3".into(),
            Self::Cron => "cron pattern of five fields: minute hour day month weekday".into(),
            Self::Zone => "time zone, such as Europe/Berlin or UTC".into(),
            Self::Moment => "local date and time, such as 2026-01-05 03:30".into(),
            Self::RetryOn => "`exit N`, failure, timeout, stall or lost".into(),
            Self::Word { words, .. } => format!("one of {}", words.iter().map(|(w, _)| *w).collect::<Vec<_>>().join(", ")),
            Self::List(t) => format!("a list, each {}", t.describe()),
            Self::OneOrMore(t) => format!("one or a list, each {}", t.describe()),
            Self::Map(c) => format!("{} (a mapping)", c.noun),
            Self::Either(t, c) => format!("{}; or {} (a mapping)", t.describe(), c.noun),
            Self::Any => "as the step kind says".into(),
        }
    }

    /// The contexts below this type.
    pub fn contexts(&self) -> Vec<&'static Context> {
        match self {
            Self::Map(c) | Self::Either(_, c) => vec![c],
            Self::List(t) | Self::OneOrMore(t) => t.contexts(),
            _ => Vec::new(),
        }
    }
}
