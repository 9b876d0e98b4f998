//! When two people are two: by the uid of the peer and by the uid that logged in. Pure.
//!
//! A login uid survives `su` and `sudo`, so who becomes somebody else, or root, stays who they are. Where nobody logged in (a container, cron)
//! the uid alone says who it is; uid 0 then says nothing, since anybody may have become root.

use super::actor::Actor;

/// Why somebody's approval does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    #[error("uid 0 without a login uid could be anybody, and never approves")]
    RootWithoutLogin,
    #[error("{who} asked for it: somebody else must approve")]
    Requester { who: String },
    #[error("{who} has {shared} of {other}, who {did}: that is one person")]
    SamePerson { who: String, other: String, shared: &'static str, did: &'static str },
}

fn login(a: &Actor) -> Option<u32> {
    a.login_uid.or(a.uid)
}

/// What two actors share that makes them one person, if anything. The engine itself is nobody.
pub fn shared(a: &Actor, b: &Actor) -> Option<&'static str> {
    if a.uid.is_none() || b.uid.is_none() {
        None
    } else if a.uid == b.uid {
        Some("the uid")
    } else if login(a) == login(b) {
        Some("the login uid")
    } else {
        None
    }
}

/// Root, and nobody knows who became it.
pub fn is_anybody(a: &Actor) -> bool {
    a.uid == Some(0) && a.login_uid.is_none()
}

/// Whether `who` is one more person. `requester`: who may not be the same, where the rules say so; `earlier`: who has approved.
pub fn counts<'a>(who: &Actor, requester: Option<&Actor>, earlier: impl IntoIterator<Item = &'a Actor>) -> Result<(), Unfit> {
    if is_anybody(who) {
        return Err(Unfit::RootWithoutLogin);
    }
    let one = |other: &Actor, did| {
        shared(who, other).map(|shared| Unfit::SamePerson { who: who.name.clone(), other: other.name.clone(), shared, did })
    };
    if let Some(r) = requester {
        if r.uid.is_some() && r.uid == who.uid {
            return Err(Unfit::Requester { who: who.name.clone() });
        }
        one(r, "asked for it").map_or(Ok(()), Err)?;
    }
    earlier.into_iter().find_map(|e| one(e, "has approved already")).map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(name: &str, uid: u32, login: Option<u32>) -> Actor {
        Actor::person(name, uid, login)
    }

    #[test]
    fn two_people_differ_in_uid_and_in_login_uid() {
        let ann = p("ann", 1000, Some(1000));
        for (other, shares) in [
            (p("ann", 1000, Some(1000)), Some("the uid")),
            (p("ann", 1000, Some(1001)), Some("the uid")),
            // `su bob`, and `sudo` to root: the login stays ann's.
            (p("bob", 1001, Some(1000)), Some("the login uid")),
            (p("root", 0, Some(1000)), Some("the login uid")),
            (p("bob", 1001, Some(1001)), None),
            (p("root", 0, Some(1001)), None),
            // Nobody logged in: the uid says who it is.
            (p("bob", 1001, None), None),
            (p("ann", 1000, None), Some("the uid")),
            (Actor::engine("schedule"), None),
        ] {
            assert_eq!(shared(&ann, &other), shares, "{other:?}");
            assert_eq!(shared(&other, &ann), shares, "{other:?}");
        }
        assert_eq!(shared(&p("bob", 1001, None), &p("cal", 1002, Some(1001))), Some("the login uid"));
        assert_eq!(shared(&p("bob", 1001, None), &p("cal", 1002, None)), None);
    }

    #[test]
    fn root_needs_a_login_and_a_requester_is_no_second_person() {
        let (ann, bob) = (p("ann", 1000, Some(1000)), p("bob", 1001, Some(1001)));
        assert_eq!(counts(&p("root", 0, None), None, []), Err(Unfit::RootWithoutLogin));
        assert_eq!(counts(&p("root", 0, Some(1001)), Some(&ann), []), Ok(()));
        assert_eq!(counts(&ann, Some(&ann), []), Err(Unfit::Requester { who: "ann".into() }));
        let as_root = counts(&p("root", 0, Some(1000)), Some(&ann), []).unwrap_err();
        assert_eq!(as_root.to_string(), "root has the login uid of ann, who asked for it: that is one person");
        assert_eq!(counts(&ann, Some(&Actor::engine("schedule")), []), Ok(()));
        assert_eq!(counts(&bob, None, [&ann]), Ok(()));
        let twice = counts(&p("root", 0, Some(1001)), None, [&ann, &bob]).unwrap_err();
        assert!(twice.to_string().contains("of bob, who has approved already"), "{twice}");
    }
}
