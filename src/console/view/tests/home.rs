//! Home: what goes on now.

use super::*;

#[test]
fn where_the_clock_is_off_what_is_due_says_why() {
    for size in [(80, 24), (140, 40)] {
        let mut model = bare(Kind::Home, size);
        update(&mut model, Msg::Link(LinkMsg::Up));
        let mut status = said(&Question::Status);
        status["scheduler"] = json!("off: a private engine needs scheduler = \"private\" in site.toml");
        tell(&mut model, &Question::Status, &status);
        for question in update::needs(&model).into_iter().filter(|q| *q != Question::Status) {
            let empty = matches!(&question, Question::Rows { what: "schedule", .. });
            tell(&mut model, &question, &if empty { table(Vec::new()) } else { said(&question) });
        }
        let shown = text(&model);
        // Beside the lists its lines are broken.
        let why = if size.0 == 80 {
            "nothing: a private engine needs scheduler = \"private\" in site.toml"
        } else {
            "nothing: a private engine needs"
        };
        assert!(shown.contains(why), "{shown}");
        assert!(shown.contains("scheduler off") && !shown.contains("scheduler off:"), "{shown}");
    }
}
