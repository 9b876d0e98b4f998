//! The people of the demo beside whoever sits at it. One person can try what needs two: `demo as NAME` runs a command as one of these, and the
//! engine takes its connections for theirs. All belongs to one user of the machine, who may be any of them: it guards a demo, and nothing else.

use std::path::Path;

use super::places::MARK;
use super::quote::quoted;

/// The variable by which a process of the demo's user says who of these it is.
pub const VARIABLE: &str = "QUARTERDECK_DEMO_PERSON";

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Person {
    pub name: &'static str,
    /// Of no user that a machine has by itself.
    pub uid: u32,
    pub roles: &'static [&'static str],
}

pub const OPS: Person = Person { name: "op-07", uid: 60_007, roles: &["release-manager", "operator"] };
pub const SECURITY: Person = Person { name: "sec-02", uid: 60_002, roles: &["security"] };
pub const ALL: [Person; 2] = [OPS, SECURITY];

/// The person of a name.
pub fn named(name: &str) -> Option<Person> {
    ALL.into_iter().find(|p| p.name == name)
}

/// Whether the state directory is a demo's, whose engine knows these people.
pub fn live_in(state: &Path) -> bool {
    std::fs::symlink_metadata(state.join(MARK)).is_ok_and(|m| m.is_file())
}

/// Who a process says that it is, read below `proc`. Only a process of the same user, or root, can be asked.
pub fn who(proc: &Path, pid: i32) -> Option<Person> {
    let environment = std::fs::read(proc.join(pid.to_string()).join("environ")).ok()?;
    let said = environment.split(|b| *b == 0).find_map(|line| line.strip_prefix(format!("{VARIABLE}=").as_bytes()))?;
    named(std::str::from_utf8(said).ok()?)
}

/// `[roles]` of the site file: `owner` does everything but what is security's.
pub fn site(owner: &str) -> String {
    let mut out = String::from(
        "\n# Who may do what. op-07 and sec-02 live in this demo only: `quarterdeck demo as sec-02 approve PROMOTION` is the word of a second\n\
         # person. With `second_person = \"none\"` above, this engine has one user, and what needs two is recorded as a single person's.\n[roles]\n",
    );
    out.push_str(&format!("admin = [{}]\n", quoted(owner)));
    for role in ["release-manager", "operator", "security"] {
        let mut members: Vec<&str> = ALL.iter().filter(|p| p.roles.contains(&role)).map(|p| p.name).collect();
        if role != "security" {
            members.push(owner);
        }
        out.push_str(&format!("{role} = [{}]\n", members.into_iter().map(quoted).collect::<Vec<_>>().join(", ")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_who_its_environment_says_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let say = |pid: i32, text: &str| {
            std::fs::create_dir_all(dir.path().join(pid.to_string())).unwrap();
            std::fs::write(dir.path().join(format!("{pid}/environ")), text).unwrap();
        };
        say(7, "PATH=/bin\0QUARTERDECK_DEMO_PERSON=sec-02\0HOME=/\0");
        say(8, "PATH=/bin\0XQUARTERDECK_DEMO_PERSON=sec-02\0");
        say(9, "QUARTERDECK_DEMO_PERSON=root\0");
        assert_eq!([7, 8, 9, 10].map(|pid| who(dir.path(), pid)), [Some(SECURITY), None, None, None]);
        assert!(!live_in(dir.path()));
        std::fs::write(dir.path().join(MARK), "{}").unwrap();
        assert!(live_in(dir.path()));
    }

    #[test]
    fn the_two_sides_of_a_promotion_are_different_people() {
        let parsed: toml::Table = site("an\"n").parse().unwrap();
        let of = |role: &str| parsed["roles"][role].as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned()).collect::<Vec<_>>();
        assert_eq!(
            (of("admin"), of("operator"), of("security")),
            (vec!["an\"n".into()], vec!["op-07".into(), "an\"n".into()], vec!["sec-02".into()])
        );
    }
}
