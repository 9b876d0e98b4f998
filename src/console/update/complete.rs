//! What may stand where the cursor of a prompt is: names of commands, and what they and the filter take.

use std::collections::BTreeSet;

use super::lists;
use crate::console::command;
use crate::console::model::dialog::Offer;
use crate::console::model::screen::PAGE;
use crate::console::model::{Model, PromptKind, word};
use crate::console::question::Question;

/// Fewer letters are about everything.
const SOUGHT: usize = 3;
/// More would be read by nobody.
const MOST: usize = 200;

/// How many characters before the cursor are the word that is begun, and what it may become.
pub fn offers(model: &Model, kind: PromptKind, before: &str) -> (usize, Vec<Offer>) {
    let (begun, all) = match kind {
        PromptKind::Command => match before.split_once(' ') {
            None => (before, names()),
            Some((word, rest)) => (rest, arguments(model, word)),
        },
        PromptKind::Filter => {
            let begun = before.rsplit(' ').next().unwrap_or_default();
            (begun, filters(model, begun))
        }
        _ => return (0, Vec::new()),
    };
    if before.is_empty() {
        return (0, Vec::new());
    }
    let names = kind == PromptKind::Command && !before.contains(' ');
    let (fits, rest): (Vec<Offer>, Vec<Offer>) = all.into_iter().filter(|o| o.text != begun).partition(|o| o.text.starts_with(begun));
    // Who does not know how a command begins knows what it does.
    let sought = rest.into_iter().filter(|o| names && begun.chars().count() >= SOUGHT && is_about(o, begun));
    let fits = fits.into_iter().chain(sought).take(MOST).collect();
    (begun.chars().count(), fits)
}

/// A command has the word in its name or its title.
fn is_about(offer: &Offer, word: &str) -> bool {
    let title = command::find(&offer.text).map(|m| m.title().to_lowercase()).unwrap_or_default();
    offer.text.contains(word) || title.contains(&word.to_lowercase())
}

/// As much as all of them begin with.
pub fn shared(offers: &[Offer]) -> &str {
    let Some(first) = offers.first() else { return "" };
    let same = |a: &str, b: &str| a.char_indices().zip(b.chars()).find(|((_, x), y)| x != y).map_or(a.len().min(b.len()), |((i, _), _)| i);
    let end = offers.iter().fold(first.text.len(), |n, o| n.min(same(&first.text, &o.text)));
    &first.text[..end]
}

fn names() -> Vec<Offer> {
    let about = |n: &str| command::find(n).map(|m| m.doc().to_owned()).unwrap_or_default();
    command::names().map(|text| Offer { about: about(&text), text }).collect()
}

fn arguments(model: &Model, command: &str) -> Vec<Offer> {
    let rows = |what: &'static str| model.rows(&Question::Rows { what, limit: PAGE }).map_or(&[][..], |r| r.rows.as_slice());
    match command {
        "run" | "log" => rows("runs").iter().map(|r| Offer { text: word::text(r, "run"), about: word::outcome(r) }).collect(),
        "pipeline" => {
            rows("pipelines").iter().map(|r| Offer { text: word::text(r, "pipeline"), about: word::text(r, "description") }).collect()
        }
        "site" => model.sites.iter().map(|t| Offer { text: t.clone(), about: String::new() }).collect(),
        "view" => {
            let verbs = [("save ", "keeps the screen in front: its filter, order and tab"), ("drop ", "forgets a view")];
            let verbs = verbs.map(|(text, about)| Offer { text: text.into(), about: about.into() });
            model.views.names().map(|n| Offer { text: n.to_owned(), about: model.views.about(n) }).chain(verbs).collect()
        }
        "theme" => model.themes.iter().map(|t| Offer { text: t.clone(), about: String::new() }).collect(),
        "arm" => vec![Offer { text: "15m ".into(), about: "a time of an hour at most, then why".into() }],
        _ => Vec::new(),
    }
}

/// Columns of the list in front; behind `column=` what stands in it.
fn filters(model: &Model, begun: &str) -> Vec<Offer> {
    let (not, rest) = begun.strip_prefix('!').map_or(("", begun), |r| ("!", r));
    let operator = ["!=", "="].iter().find_map(|o| Some((*o, rest.find(o)?)));
    let Some((sign, at)) = operator else {
        return lists::columns(model).into_iter().map(|c| Offer { text: format!("{not}{c}="), about: String::new() }).collect();
    };
    let column = &rest[..at];
    let Some((pane, _)) = model.screen().pane() else { return Vec::new() };
    let values: BTreeSet<String> = model.table(&pane).0.iter().take(PAGE).map(|r| word::text(r, column)).collect();
    let plain = |v: &&String| !v.is_empty() && !v.contains([' ', '"', '\'']);
    values.iter().filter(plain).map(|v| Offer { text: format!("{not}{column}{sign}{v}"), about: String::new() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_by_what_it_does() {
        let m = super::super::tests::connected();
        let of = |typed: &str| offers(&m, PromptKind::Command, typed).1.into_iter().map(|o| o.text).collect::<Vec<_>>();
        assert_eq!(of("halt"), ["do-promote-halt"]);
        assert!(
            of("freez")[0] == "freeze" && of("freez").contains(&"do-freeze".to_owned()),
            "what begins so comes first: {:?}",
            of("freez")
        );
        assert!(of("acknow").contains(&"do-ack".to_owned()) && of("arm x").is_empty() && of("zz").is_empty());
    }

    #[test]
    fn what_all_begin_with_ends_between_characters() {
        let of = |all: &[&str]| {
            let offers: Vec<Offer> = all.iter().map(|t| Offer { text: (*t).into(), about: String::new() }).collect();
            shared(&offers).to_owned()
        };
        assert_eq!(of(&["edit-mine", "edit-take", "edit-x"]), "edit-");
        assert_eq!(of(&["é1", "é2"]), "é");
        assert_eq!(of(&["é", "è"]), "");
        assert_eq!((of(&["one"]), of(&[])), ("one".into(), String::new()));
    }
}
