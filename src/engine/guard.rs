//! The guard: the only gate to change. Decides for every client alike, in one fixed order, and touches nothing.
//!
//! 1. the site's `read_only`; 2. the caller's role; 3. the action's own why-not; 4. its level. The first that objects is the answer.

use crate::action::{AS_ASKED, Action};
use crate::api::ApiError;
use crate::config::{SecondPerson, Site};
use crate::domain::actor::Actor;
use crate::domain::level::Level;
use crate::domain::person;

/// Who asks, as the kernel and the site see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub actor: Actor,
    /// The machine has a user of this uid.
    pub known: bool,
    /// On a private engine: its owner.
    pub owner: bool,
    pub groups: Vec<String>,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Ask<'a> {
    pub action: &'static Action,
    /// What the caller must type at L2: the name of the run or pipeline.
    pub subject: &'a str,
    pub reason: &'a str,
    pub confirm: Option<&'a str>,
    pub lease: Lease,
}

/// Whether the request comes from a console, and whether that is armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// No console: a command is its own intent.
    NotAsked,
    Held,
    /// A console without a lease that holds now, and why.
    Lacking(&'static str),
}

/// It may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass {
    /// It needed two people; the site lets one do it.
    pub single_person: bool,
    /// It needs two people: it is written down, and waits for the second.
    pub waits: bool,
}

/// The site as far as the guard must know it.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    pub site: &'a Site,
    /// One user's own engine.
    pub private: bool,
}

/// Whether somebody may look at anything at all.
pub fn may_view(ground: Ground<'_>, caller: &Caller) -> Result<(), ApiError> {
    identified(ground, caller)?;
    let Some(roles) = ground.site.roles.as_ref().filter(|_| !ground.private) else { return Ok(()) };
    if !roles.contains_key("viewer") || roles.keys().any(|r| has_role(ground.site, caller, r)) {
        return Ok(());
    }
    Err(ApiError::refused(format!("{} has no role on this site", caller.actor.name), "ask an admin to add you under [roles] in site.toml"))
}

/// Decides. `why_not` is asked only when nothing before it objects; it answers the level that the action has for this target.
pub fn decide(
    ground: Ground<'_>,
    caller: &Caller,
    ask: &Ask<'_>,
    why_not: impl FnOnce() -> Result<Level, ApiError>,
) -> Result<Pass, ApiError> {
    if ground.site.read_only {
        let help = "nothing can be changed through it; `read_only` in site.toml says so";
        return Err(ApiError::refused(format!("{}: the site is read-only", ask.action.title), help));
    }
    role(ground, caller, ask.action)?;
    let level = why_not()?.max(ask.action.level);
    confirmed(ground, ask, level)
}

fn identified(ground: Ground<'_>, caller: &Caller) -> Result<(), ApiError> {
    let uid = caller.actor.uid.map_or_else(|| "?".to_owned(), |u| u.to_string());
    if ground.private && !caller.owner {
        return Err(ApiError::refused(
            format!("this engine belongs to another user, not to uid {uid}"),
            "use your own: another --state-dir",
        ));
    }
    // The owner is known by the uid alone: a container may have no name for it.
    if !ground.private && !caller.known {
        return Err(ApiError::refused(format!("this machine has no user with uid {uid}"), "only people with a name may use the engine"));
    }
    Ok(())
}

fn role(ground: Ground<'_>, caller: &Caller, action: &Action) -> Result<(), ApiError> {
    identified(ground, caller)?;
    if ground.private {
        return Ok(());
    }
    if action.roles == [AS_ASKED] && ground.site.roles.iter().flatten().any(|(r, _)| r != "viewer" && has_role(ground.site, caller, r)) {
        return Ok(());
    }
    let wanted = || action.roles.iter().copied().chain(["admin"]);
    if wanted().any(|r| has_role(ground.site, caller, r)) {
        return Ok(());
    }
    let mut names_once = wanted().collect::<Vec<_>>();
    names_once.dedup();
    let help = match ground.site.roles {
        None => "this shared site has no [roles], so everybody only looks; an admin adds them in site.toml".to_owned(),
        Some(_) if action.roles == [AS_ASKED] => {
            "needs a role that it asks for (quarterdeck why tells which), and you have none but viewer; an admin gives them under [roles] in site.toml".to_owned()
        }
        Some(_) => format!("needs one of the roles {}; an admin gives them under [roles] in site.toml", names_once.join(", ")),
    };
    Err(ApiError::refused(format!("{}: {} may not", action.title, caller.actor.name), help))
}

/// Who may decide about what waits: one of its roles, or `admin`; on a private engine its owner.
pub fn may_decide(ground: Ground<'_>, caller: &Caller, roles: &[String], subject: &str) -> Result<(), ApiError> {
    if ground.private || roles.iter().map(String::as_str).chain(["admin"]).any(|r| has_role(ground.site, caller, r)) {
        return Ok(());
    }
    let help = format!("needs one of the roles {}, admin", roles.join(", "));
    Err(ApiError::refused(format!("{subject} is not for {} to decide", caller.actor.name), help))
}

/// Whether an approval of `caller` may stand for all that are needed. Refuses where nobody else could give the other ones.
pub fn alone(ground: Ground<'_>, caller: &Caller, needs_second: bool, subject: &str) -> Result<bool, ApiError> {
    let anybody = person::is_anybody(&caller.actor);
    if !ground.private || !(needs_second || anybody) {
        return Ok(false);
    }
    if ground.site.second_person == SecondPerson::None {
        return Ok(true);
    }
    let help = "`second_person = \"none\"` in site.toml lets it pass, marked as a single person's";
    Err(match anybody {
        true => ApiError::refused(format!("{subject}: {}", person::Unfit::RootWithoutLogin), help),
        false => {
            ApiError::refused(format!("{subject} needs a second person, and this engine has one user: there is nobody else to ask"), help)
        }
    })
}

/// Whether the site gives the caller this role, by name or by group. Only a shared engine asks.
pub fn has_role(site: &Site, caller: &Caller, role: &str) -> bool {
    let members = site.roles.as_ref().and_then(|r| r.get(role));
    members.is_some_and(|m| {
        m.iter().any(|member| match member.strip_prefix('@') {
            Some(group) => caller.groups.iter().any(|g| g == group),
            None => *member == caller.actor.name,
        })
    })
}

fn confirmed(ground: Ground<'_>, ask: &Ask<'_>, level: Level) -> Result<Pass, ApiError> {
    let title = ask.action.title;
    // Halting is always safe, and must never wait for anything.
    if level > Level::L0
        && !ask.action.always()
        && let Lease::Lacking(why) = ask.lease
    {
        return Err(ApiError::refused(format!("{title}: {why}"), ":arm 15m REASON first; a command line needs none"));
    }
    let two = level == Level::L3;
    if two && ground.private && ground.site.second_person != SecondPerson::None {
        let help =
            "this engine has one user, so there is nobody to ask; `second_person = \"none\"` in site.toml lets it pass, marked as such";
        return Err(ApiError::refused(format!("{title}: `{}` is {level} and needs a second person", ask.subject), help));
    }
    if level >= Level::L2 {
        if ask.reason.trim().is_empty() {
            // What is wanted is said in one go, or each try would find the next refusal.
            let (wanted, help) = match ask.confirm {
                Some(name) if name == ask.subject => ("a reason", "say why: --reason TEXT".to_owned()),
                _ => ("a reason and its name", format!("say why, and type its name: --reason TEXT --confirm '{}'", ask.subject)),
            };
            return Err(ApiError::refused(format!("{title}: `{}` is {level} and needs {wanted}", ask.subject), help));
        }
        let again = format!("type its name: --confirm '{}'", ask.subject);
        match ask.confirm {
            None => return Err(ApiError::refused(format!("{title}: `{}` is {level} and must be confirmed", ask.subject), again)),
            Some(name) if name != ask.subject => {
                return Err(ApiError::refused(format!("{title}: confirmed `{name}`, but this is `{}`", ask.subject), again));
            }
            Some(_) => {}
        }
    }
    if two && !ground.private && !ask.action.runs() {
        let help = "only what becomes a run can wait for one";
        return Err(ApiError::refused(format!("{title}: `{}` is {level} and needs a second person", ask.subject), help));
    }
    Ok(Pass { single_person: two && ground.private, waits: two && !ground.private })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action;
    use std::collections::BTreeMap;

    fn caller(name: &str) -> Caller {
        Caller { actor: Actor::person(name, 1000, Some(1000)), known: true, owner: true, groups: vec!["ops".into()] }
    }

    fn ask<'a>(id: &str, reason: &'a str, confirm: Option<&'a str>) -> Ask<'a> {
        Ask { action: action::find(id).unwrap(), subject: "nightly", reason, confirm, lease: Lease::NotAsked }
    }

    fn roles(role: &str, member: &str) -> Site {
        Site { roles: Some(BTreeMap::from([(role.to_owned(), vec![member.to_owned()])])), ..Site::default() }
    }

    #[test]
    fn each_rule_hides_those_after_it() {
        let objects = || Err(ApiError::refused("why-not", ""));
        let stranger = Caller { known: false, owner: false, ..caller("x") };
        let shut = Site { read_only: true, ..Site::default() };
        // All four object: read_only speaks.
        let e = decide(Ground { site: &shut, private: true }, &stranger, &ask("run", "", None), objects).unwrap_err();
        assert!(e.message.contains("read-only"), "{e}");
        let open = Site::default();
        let e = decide(Ground { site: &open, private: true }, &stranger, &ask("run", "", None), objects).unwrap_err();
        assert!(e.message.contains("another user"), "{e}");
        let e = decide(Ground { site: &open, private: true }, &caller("a"), &ask("run", "", None), objects).unwrap_err();
        assert!(e.message.contains("why-not"), "{e}");
        let e = decide(Ground { site: &open, private: true }, &caller("a"), &ask("run", "", None), || Ok(Level::L2)).unwrap_err();
        assert!(e.message.contains("needs a reason"), "{e}");
        assert!(decide(Ground { site: &open, private: true }, &caller("a"), &ask("run", "", None), || Ok(Level::L1)).is_ok());
    }

    #[test]
    fn a_shared_engine_asks_for_roles_by_name_and_by_group() {
        let may = |site: &Site, id| decide(Ground { site, private: false }, &caller("ann"), &ask(id, "", None), || Ok(Level::L1)).is_ok();
        assert!(!may(&Site::default(), "run"), "without [roles] everybody only looks");
        assert!(may(&roles("operator", "ann"), "run") && may(&roles("operator", "@ops"), "run"));
        assert!(!may(&roles("operator", "ops"), "run"), "a group is not a user");
        assert!(!may(&roles("operator", "@ann"), "run") && !may(&roles("viewer", "ann"), "run"));
        assert!(may(&roles("admin", "ann"), "run") && may(&roles("admin", "ann"), "stop"));
        assert!(!may(&roles("operator", "ann"), "stop"));
        let looks = roles("viewer", "ann");
        let ask_for =
            |id| decide(Ground { site: &looks, private: false }, &caller("ann"), &ask(id, "", None), || Ok(Level::L1)).unwrap_err();
        assert!(!ask_for("approve").help.contains(AS_ASKED), "{:?}", ask_for("approve"));
        let unknown = Caller { known: false, ..caller("4242") };
        let site = roles("operator", "4242");
        assert!(decide(Ground { site: &site, private: false }, &unknown, &ask("run", "", None), || Ok(Level::L1)).is_err());
    }

    #[test]
    fn who_may_look() {
        let look = |site: &Site, private, c: &Caller| may_view(Ground { site, private }, c).is_ok();
        let other = Caller { owner: false, ..caller("bob") };
        assert!(!look(&Site::default(), true, &other) && look(&Site::default(), false, &other));
        assert!(look(&roles("operator", "ann"), false, &other), "a site that names no viewers has everybody");
        assert!(!look(&roles("viewer", "ann"), false, &other));
        assert!(!look(&Site::default(), false, &Caller { known: false, ..other }));
    }

    #[test]
    fn l2_wants_a_reason_and_the_very_name() {
        let site = Site::default();
        let go =
            |reason, confirm| decide(Ground { site: &site, private: true }, &caller("a"), &ask("run", reason, confirm), || Ok(Level::L2));
        assert!(go("", Some("nightly")).unwrap_err().message.contains("needs a reason"));
        assert!(go("  ", Some("nightly")).is_err());
        let both = go("", None).unwrap_err();
        assert!(both.message.contains("a reason and its name") && both.help.contains("--reason TEXT --confirm 'nightly'"), "{both:?}");
        assert!(go("why", None).unwrap_err().help.contains("--confirm 'nightly'"));
        assert!(go("why", Some("nightl")).unwrap_err().message.contains("confirmed `nightl`"));
        assert_eq!(go("why", Some("nightly")), Ok(Pass { single_person: false, waits: false }));
    }

    #[test]
    fn a_console_needs_a_lease_at_every_level_but_l0_and_is_told_last() {
        let site = Site::default();
        let of = |lease| Ask { lease, ..ask("run", "why", Some("nightly")) };
        let go = |lease, level| decide(Ground { site: &site, private: true }, &caller("a"), &of(lease), || Ok(level));
        for level in [Level::L1, Level::L2] {
            let e = go(Lease::Lacking("not armed"), level).unwrap_err();
            assert!(e.message.contains("not armed") && e.help.contains(":arm"), "{e}");
            assert!(go(Lease::Held, level).is_ok() && go(Lease::NotAsked, level).is_ok());
        }
        let e = decide(Ground { site: &site, private: true }, &caller("a"), &of(Lease::Lacking("not armed")), || {
            Err(ApiError::refused("why-not", ""))
        });
        assert!(e.unwrap_err().message.contains("why-not"));
        let shut = Site { read_only: true, ..Site::default() };
        let e = decide(Ground { site: &shut, private: true }, &caller("a"), &of(Lease::Lacking("not armed")), || Ok(Level::L1));
        assert!(e.unwrap_err().message.contains("read-only"));
    }

    #[test]
    fn l3_needs_two_people_unless_the_site_says_otherwise() {
        let full = ask("run", "why", Some("nightly"));
        let go = |site: &Site, private| decide(Ground { site, private }, &caller("ann"), &full, || Ok(Level::L3));
        let alone = Site { second_person: SecondPerson::None, ..roles("operator", "ann") };
        assert!(go(&Site::default(), true).unwrap_err().message.contains("second person"));
        assert_eq!(go(&alone, true), Ok(Pass { single_person: true, waits: false }));
        assert_eq!(go(&alone, false), Ok(Pass { single_person: false, waits: true }), "on a shared engine there is somebody to ask");
        let bare = ask("run", "why", None);
        assert!(decide(Ground { site: &alone, private: true }, &caller("ann"), &bare, || Ok(Level::L3)).is_err());
    }
}
