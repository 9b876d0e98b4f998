//! Help: whole at 80x24, grouped, with a reason for each key that does nothing; its keys turn it and close it.

use super::{bare, filled, kinds, look, text};
use crate::console::command::{self, Meaning};
use crate::console::model::Model;
use crate::console::model::screen::Kind;
use crate::console::msg::Msg;
use crate::console::shot;
use crate::console::update::{self, update};

fn press(model: &mut Model, key: &str) {
    update(model, Msg::Key { key: key.parse().unwrap(), repeat: false });
}

/// Every page of it, the rules of the box left out.
fn pages(model: &mut Model) -> String {
    press(model, "?");
    let mut out = String::new();
    loop {
        let shown = text(model);
        if out.ends_with(&shown) {
            press(model, "q");
            assert!(model.help.is_none());
            return out;
        }
        out.push_str(&shown);
        press(model, "space");
    }
}

#[test]
fn help_at_the_two_sizes_that_matter() {
    for (kind, name) in [(Kind::Runs, "runs"), (Kind::Mirrors, "mirrors"), (Kind::Log("nightly#12".parse().unwrap(), None), "log")] {
        for size in [(80, 24), (140, 40)] {
            let mut model = if name == "log" { bare(kind.clone(), size) } else { filled(kind.clone(), size) };
            insta::assert_snapshot!(format!("help_{name}_{}x{}", size.0, size.1), pages(&mut model));
        }
    }
}

#[test]
fn every_key_is_told_whole_wherever_it_is_asked() {
    for kind in kinds() {
        let mut model = filled(kind.clone(), (80, 24));
        let all = pages(&mut model);
        let flat: String = all.split_whitespace().collect::<Vec<_>>().join(" ");
        for name in command::names() {
            let Some(meaning) = command::find(&name) else { continue };
            let Some(keys) = model.keys.keys_of(model.screen().scopes(), &name) else { continue };
            if !update::help::is_here(&model, &name) {
                continue;
            }
            assert!(flat.contains(&format!("{}:", meaning.title())), "{kind:?}: {keys} {name} is not told\n{all}");
            let off = match meaning {
                Meaning::Do(action) => update::open::why_not(&model, action),
                Meaning::View(_) => update::idle::idle(&model, &name),
            };
            if let Some(why) = off {
                let first: Vec<&str> = why.split_whitespace().take(4).collect();
                assert!(flat.contains(&format!("off: {}", first.join(" "))), "{kind:?}: {name} is off: {why}\n{all}");
            }
        }
        // The lines of the box itself: what stands around it may be cut where it is.
        let utf8 = crate::theme::Look { glyphs: crate::theme::Glyphs::UTF8, ..look(false) };
        press(&mut model, "?");
        let buf = shot::draw(&model, &utf8);
        let inside: String = shot::text(&buf).lines().skip(3).take(18).collect();
        assert!(!inside.contains(utf8.glyphs.ellipsis), "{kind:?}: {inside}");
    }
}

#[test]
fn the_keys_of_a_list_turn_it_and_any_other_closes_it() {
    let mut model = filled(Kind::Runs, (80, 24));
    let at = model.screen().lists[0].at;
    press(&mut model, "?");
    press(&mut model, "j");
    assert_eq!(model.help, Some(1));
    press(&mut model, "k");
    press(&mut model, "k");
    assert_eq!(model.help, Some(0));
    press(&mut model, "G");
    let end = model.help;
    assert!(end > Some(10), "{end:?}");
    press(&mut model, "j");
    assert_eq!(model.help, end, "there is no more");
    press(&mut model, "g");
    press(&mut model, "g");
    assert_eq!(model.help, Some(0));
    // What closes it does nothing else.
    press(&mut model, "X");
    assert_eq!((model.help, model.dialog.is_some(), model.screen().lists[0].at), (None, false, at));
    // At sizes that have no room it still stands.
    for size in [(1, 1), (8, 3), (20, 6), (300, 100)] {
        let mut model = bare(Kind::Home, size);
        press(&mut model, "?");
        press(&mut model, "G");
        let _ = text(&model);
    }
}
