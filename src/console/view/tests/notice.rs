//! What is said last: in one row where that does, over the rows above where it is longer.

use super::*;
use crate::console::model::Notice;

fn saying(text: &str, size: (u16, u16)) -> Model {
    let mut model = filled(Kind::Jobs, size);
    model.notice = Some(Notice { text: text.into(), bad: true, at: model.now });
    model
}

#[test]
fn a_reason_that_is_longer_than_a_row_is_shown_to_its_end() {
    let long = "run: Run a pipeline: `danger3` is L3 and needs a second person. this engine has one user, so there is nobody to ask; \
        `second_person = \"none\"` in site.toml lets it pass, marked as such";
    for size in [(80, 24), (60, 15), (40, 10)] {
        let shown = text(&saying(long, size));
        let one = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one.ends_with(long), "{shown}");
        assert!(shown.lines().next().unwrap().starts_with("quarterdeck"), "{shown}");
        assert_eq!(shown.lines().count(), usize::from(size.1), "{shown}");
    }
    // Where nothing is wide enough for all of it, the end is marked as missing.
    let shown = text(&saying(long, (20, 5)));
    assert!(shown.trim_end().ends_with('~') || shown.trim_end().ends_with("..."), "{shown}");
    // One that fits takes its row, and no other.
    let (short, none) = (text(&saying("nothing was done", (80, 24))), text(&filled(Kind::Jobs, (80, 24))));
    assert_eq!(short.lines().rev().skip(1).collect::<Vec<_>>(), none.lines().rev().skip(1).collect::<Vec<_>>());
}

#[test]
fn what_is_typed_has_the_last_row_for_itself() {
    let mut model = saying(&"word ".repeat(40), (80, 24));
    assert!(text(&model).matches("word").count() > 20);
    update(&mut model, Msg::Key { key: ":".parse().unwrap(), repeat: false });
    assert!(!text(&model).contains("word word"), "{}", text(&model));
}
