//! The order of versions against RPM's own, on 100,000 pairs.

use std::cmp::Ordering;
use std::io::Write;
use std::process::Command;

use quarterdeck::domain::version::EvrRef;

use crate::support;

const PAIRS: usize = 100_000;
const PARTS: [&str; 30] = [
    "0",
    "1",
    "2",
    "9",
    "10",
    "00",
    "01",
    "a",
    "b",
    "z",
    "A",
    "Z",
    "ab",
    "~",
    "^",
    ".",
    "_",
    "+",
    "..",
    "é",
    "漢",
    "~~",
    "^^",
    "rc",
    "ß",
    "~rc1",
    "^git2",
    "12345678901234567890123",
    "%",
    "=",
];

/// A small generator: what is compared must be the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn word(&mut self) -> String {
        (0..1 + self.roll(6)).map(|_| PARTS[self.roll(PARTS.len())]).collect()
    }

    /// Another word, or one that differs in a little.
    fn near(&mut self, word: &str) -> String {
        let mut parts: Vec<char> = word.chars().collect();
        match self.roll(4) {
            0 => return self.word(),
            1 => return format!("{word}{}", PARTS[self.roll(PARTS.len())]),
            2 => parts.insert(self.roll(parts.len() + 1), ['~', '^', '.', '0', 'a'][self.roll(5)]),
            _ => drop(parts.remove(self.roll(parts.len()))),
        }
        let text: String = parts.into_iter().collect();
        if text.is_empty() { "1".to_owned() } else { text }
    }
}

#[test]
fn versions_are_ordered_as_rpm_orders_them() {
    if !support::have_program("rpm") {
        return support::skip("versions.rpm", "rpm is not installed (Debian: rpm)");
    }
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let pairs: Vec<(String, String)> = (0..PAIRS)
        .map(|_| {
            let a = dice.word();
            let b = dice.near(&a);
            (a, b)
        })
        .collect();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pairs");
    let mut to = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
    pairs.iter().for_each(|(a, b)| writeln!(to, "{a}\t{b}").unwrap());
    to.into_inner().unwrap();
    // rpm.vercmp compares whole versions, epoch and release too; what it prints itself would be a macro's text.
    let (script, answers) = (dir.path().join("compare.lua"), dir.path().join("answers"));
    let lua = format!(
        "local out = io.open('{}', 'w')\nfor line in io.lines('{}') do\n local a, b = line:match('^(.-)\\t(.*)$')\n \
         out:write(rpm.vercmp('0:' .. a .. '-1', '0:' .. b .. '-1'), '\\n')\nend\nout:close()\n",
        answers.display(),
        file.display()
    );
    std::fs::write(&script, lua).unwrap();
    let asked = Command::new("rpm").arg("--eval").arg(format!("%{{lua: dofile('{}')}}", script.display())).output().unwrap();
    let said = std::fs::read_to_string(&answers).unwrap_or_default();
    let theirs: Vec<&str> = said.lines().collect();
    assert_eq!(theirs.len(), PAIRS, "{}", String::from_utf8_lossy(&asked.stderr));
    let evr = |v| EvrRef { epoch: "0", version: v, release: "1" };
    let mut wrong = Vec::new();
    for ((a, b), theirs) in pairs.iter().zip(theirs) {
        let ours = match evr(a).compare(evr(b)) {
            Ordering::Less => "-1",
            Ordering::Equal => "0",
            Ordering::Greater => "1",
        };
        if ours != theirs {
            wrong.push(format!("{a} {b}: {ours}, rpm says {theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {PAIRS}: {:?}", wrong.len(), &wrong[..wrong.len().min(10)]);
}
