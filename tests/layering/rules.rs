//! The table of rooms: floors, imports, and the question whether an edge is allowed. Knows nothing of Rust source.

#[derive(Debug)]
pub struct Room {
    pub name: &'static str,
    pub floor: u8,
    pub imports: &'static [&'static str],
    strict: bool,
}

impl Room {
    pub const fn new(name: &'static str, floor: u8, imports: &'static [&'static str]) -> Self {
        Self { name, floor, imports, strict: false }
    }

    /// Imports exactly what is listed: `base` and `domain` are not implied.
    pub const fn strict(mut self) -> Self {
        self.strict = true;
        self
    }
}

/// An allowed edge that may reach only some modules or items of its target.
#[derive(Debug)]
pub struct Part {
    pub from: &'static str,
    pub into: &'static str,
    pub only: &'static [&'static str],
}

#[derive(Debug)]
pub struct Table {
    pub rooms: &'static [Room],
    pub parts: &'static [Part],
    pub max_lines: usize,
    /// The one audited file that may say `unsafe`, relative to `src/`.
    pub unsafe_file: &'static str,
}

impl Table {
    pub fn room(&self, name: &str) -> Option<&Room> {
        self.rooms.iter().find(|r| r.name == name)
    }

    /// The innermost room that owns an absolute module path; `runner/shim` is a room inside `runner`.
    pub fn owner(&self, path: &[String]) -> Option<&Room> {
        let nested = path.get(1).and_then(|second| self.room(&format!("{}/{second}", path[0])));
        nested.or_else(|| path.first().and_then(|first| self.room(first)))
    }

    pub fn allows(&self, from: &str, into: &str) -> bool {
        let Some(room) = self.room(from) else { return false };
        room.imports.contains(&into)
            || room.imports.iter().any(|i| into.strip_prefix(i).is_some_and(|rest| rest.starts_with('/')))
            || (!room.strict && into == "base" && room.name != "base")
            || (!room.strict && into == "domain" && room.floor > 2)
    }

    pub fn part(&self, from: &str, into: &str) -> Option<&'static Part> {
        self.parts.iter().find(|p| p.from == from && p.into == into)
    }
}
