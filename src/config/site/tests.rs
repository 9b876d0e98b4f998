//! A table of broken site files, each with the place and the words of its error; and one that is whole.

use super::*;

#[test]
fn a_whole_site_is_read() {
    let text = r#"
time_zone = "Europe/Berlin"
read_only = true
scheduler = "private"
second_person = "none"
[engine]
socket = "/run/quarterdeck/engine.sock"
[runner]
executors = 4
[locks.loopdev]
slots = 2
[secrets]
koji-cert = "file:/etc/qd/koji.pem"
token = "env:QD_TOKEN_X"
vault = "cmd:vault read -field=v 'secret/a b'"
[roles]
operator = ["ann", "@ops"]
[repos.baseos]
upstream = ["http://127.0.0.1:1/baseos", "https://mirror.example.org/baseos"]
tree = "/srv/mirror/baseos"
writer = "quarterdeck"
replicas = ["http://dc2.example.org/baseos", "birch=https://b.example.org/baseos?a=b"]
stable = "/srv/mirror/stable/baseos"
os = "el9"
eol = 2024-05-31
[content.el9-latest]
repos = ["baseos"]
os = "el9"
[mirror]
roots = ["/srv/mirror"]
[log]
harmless = ['flaky proxy']
[log.errors]
obs = '^E\d+: '
[notify.room]
command = "/opt/tell 'the room' --now"
secrets = ["token"]
[on_failure]
command = "mail -s 'a run failed' ops"
"#;
    let site = Site::parse(text).unwrap();
    assert_eq!(site.time_zone, "Europe/Berlin");
    assert!(site.read_only && site.scheduler == Scheduler::Private && site.second_person == SecondPerson::None);
    assert_eq!(site.locks["loopdev"], 2);
    assert_eq!(site.secrets["vault"].sources, [SecretSource::Cmd(["vault", "read", "-field=v", "secret/a b"].map(str::to_owned).to_vec())]);
    assert_eq!(site.roles.as_ref().unwrap()["operator"], ["ann", "@ops"]);
    assert_eq!(site.content["el9-latest"].repos, ["baseos"]);
    let repo = &site.repos["baseos"];
    let replicas: Vec<_> = repo.replicas.iter().map(|r| (r.dc.as_str(), r.at.as_str())).collect();
    assert_eq!(replicas, [("dc2.example.org", "http://dc2.example.org/baseos"), ("birch", "https://b.example.org/baseos?a=b")]);
    let day = |d: &str| d.parse().unwrap();
    assert_eq!((repo.standstill(day("2024-05-30")), repo.os.as_str()), (None, "el9"));
    assert_eq!(repo.standstill(day("2024-05-31")).unwrap(), "end of life since 2024-05-31");
    assert_eq!(site.on_failure.as_ref().unwrap()[2], "a run failed");
    let room = &site.notifiers["room"];
    assert_eq!((&room.command[1..], &room.secrets[..]), (&["the room".to_owned(), "--now".to_owned()][..], &["token".to_owned()][..]));
    assert_eq!(
        (&site.log.errors[..], &site.log.harmless[..]),
        (&[("obs".to_owned(), r"^E\d+: ".to_owned())][..], &["flaky proxy".to_owned()][..])
    );
    assert_eq!(Site::parse("").unwrap(), Site::default());
    assert_eq!(Site::parse("[roles]").unwrap().roles, Some(BTreeMap::new()));
}

#[test]
fn every_slip_is_named_with_its_place() {
    // text, line, column, words of the message, words of the help
    let table = [
        ("read_onyl = true", 1, 1, "unknown key `read_onyl`", "did you mean `read_only`?"),
        ("\n[engine]\nsokcet = \"/x\"", 3, 1, "unknown key `sokcet` in [engine]", "did you mean `socket`?"),
        ("[engine]\nscheduler = \"private\"", 2, 1, "unknown key `scheduler` in [engine]", "belongs to the top of the file"),
        ("[log.errors]\nobs = 'a(b'", 2, 7, "no regular expression for a log: unclosed group", "single quotes"),
        ("[log]\nharmless = ['fine', 'x*']", 2, 21, "it matches every line", ""),
        ("[log.errors]\nobs = '\\w{1000}{100}'", 2, 7, "no regular expression for a log", ""),
        ("[log.errors]\nobs = 3", 2, 7, "must be a regular expression in quotes, not a number", ""),
        ("[log]\nerrors = [\"(\"]", 2, 10, "`errors` in [log] must be a table, written [log.errors], not a list", ""),
        ("[log]\nerors = 1", 2, 1, "unknown key `erors` in [log]", "did you mean `errors`?"),
        ("[banana]\n", 1, 2, "unknown key `banana`", "known here: time_zone"),
        ("time_zone = \"Europe/Berln\"", 1, 13, "no time zone `Europe/Berln`", "IANA"),
        ("read_only = \"yes\"", 1, 13, "`read_only` must be true or false, not a text", ""),
        ("read_only = yes", 1, 13, "not TOML", ""),
        ("a = 1\na = 2", 2, 1, "a second time; the first is on line 1", "keep one"),
        ("scheduler = \"privat\"", 1, 13, "cannot be \"privat\"", "did you mean \"private\"?"),
        ("second_person = \"\"", 1, 17, "cannot be \"\"", "write one of"),
        ("[engine]\nsocket = \"engine.sock\"", 2, 10, "not an absolute path", "begin it with /"),
        ("[engine]\nsocket = \"/run/../etc/x\"", 2, 10, "not an absolute path", ".."),
        ("[runner]\nexecutors = 0", 2, 13, "from 1 to 1024", ""),
        ("[runner]\nexecutors = -1", 2, 13, "from 1 to 1024", ""),
        ("[runner]\nexecutors = 99999999999999999999", 2, 13, "from 1 to 1024", ""),
        ("[runner]\nexecutors = \"4\"", 2, 13, "must be a whole number, not a text", ""),
        ("runner = 4", 1, 10, "`runner` must be a table", ""),
        ("[locks]\nmirror = 2", 2, 10, "`mirror` must be a table", "write [locks.mirror]"),
        ("[[repos]]\nname = \"a\"", 1, 1, "`repos` must be tables with names, each written [repos.NAME], not a list", ""),
        ("locks = 3", 1, 9, "each written [locks.NAME], not a number", ""),
        ("[[secrets]]\na = \"auto\"", 1, 1, "`secrets` must be a table, written [secrets], not a list", ""),
        ("[locks.\"../x\"]\nslots = 1", 1, 8, "cannot be the name of a lock", "lower case"),
        ("[locks.l]\nslot = 1", 2, 1, "unknown key `slot` in [locks.l]", "did you mean `slots`?"),
        ("[secrets]\nt = \"hunter2hunter2\"", 2, 5, "says not where the secret is", "never goes into the site file"),
        ("[secrets]\nt = \"fil:/x\"", 2, 5, "no such kind of source", "did you mean \"file:…\"?"),
        ("[secrets]\nt = \"file:x\"", 2, 5, "not an absolute path", ""),
        ("[secrets]\nt = \"env:A B\"", 2, 5, "no name of a variable", ""),
        ("[secrets]\nt = \"cmd:\"", 2, 5, "the command is empty", ""),
        ("[secrets]\nt = \"cmd:a 'b\"", 2, 5, "never closed", ""),
        ("[roles]\noperater = [\"a\"]", 2, 1, "no role `operater`", "did you mean `operator`?"),
        ("[roles]\nadmin = \"root\"", 2, 9, "must be a list of texts, not a text", ""),
        ("[roles]\nadmin = [\"a\", 3]", 2, 15, "holds a number", ""),
        ("[repos.a]\nreplicas = [\"Alder!=http://x/\"]", 2, 13, "cannot be the name of a datacentre", "DATACENTRE=ADDRESS"),
        ("[repos.a]\nreplicas = [\"tree=http://x/\"]", 2, 13, "`tree` cannot be the name of a datacentre", "but not upstream"),
        ("[repos.a]\nreplicas = [\"alder=x\"]", 2, 13, "no URL that can be read", "https://"),
        ("[repos.a]\nreplicas = [\"a=http://x/\", \"a=http://y/\"]", 2, 28, "two replicas are in `a`", "datacentre"),
        ("[repos.a]\nreplicas = [\"a=http://u:p@x/\"]", 2, 13, "must not hold a password", "secrets"),
        ("[repos.a]\nfrozen = \" \"", 2, 10, "`frozen` says why", "the reason"),
        ("[repos.a]\neol = \"May\"", 2, 7, "`May` is no day", "2024-05-31"),
        ("[repos.a]\nstable = \"srv\"", 2, 10, "no URL that can be read", ""),
        ("[repos.a]\nupstream = [\"http://x/\"]\nmetalink = \"http://x/m\"", 3, 12, "only one of them", "keep one"),
        ("[repos.a]\nmetalink = \"http://x/m\"\nmirrorlist = \"http://x/l\"", 1, 8, "a metalink and a mirror list", "keep the metalink"),
        ("[repos.a]\nmirrorlist = \"file:///x\"", 2, 14, "over http or https", ""),
        ("[roles]\nadmin = [\"@\"]", 2, 10, "no user or group", ""),
        ("[repos.a]\nupstream = \"http://x/\"", 2, 12, "must be a list of texts", ""),
        ("[repos.a]\nupstream = [\"ftp://x/\"]", 2, 13, "no URL that can be read", ""),
        ("[repos.a]\nupstream = [\"http://u:p@x/\"]", 2, 13, "must not hold a password", ""),
        ("[repos.a]\ntree = \"srv\"", 2, 8, "not an absolute path", ""),
        ("[repos.a]\nwriter = \"cobler\"", 2, 10, "cannot be \"cobler\"", "did you mean \"cobbler\"?"),
        ("[repos.base]\n[content.c]\nrepos = [\"bsae\"]", 3, 10, "no repository `bsae`", "did you mean `base`?"),
        ("[content.c]\nos = \"el9\"", 1, 10, "has no repositories", "add repos"),
        ("[repos.a]\n[content.c]\nrepos = [\"a\", \"a\"]", 3, 15, "`a` stands twice in this set", "take one out"),
        ("[repos.a]\nupstream = []", 2, 12, "`upstream` names no address", "take the line out"),
        ("[repos.a]\nupstream = [\"\"]", 2, 13, "no URL that can be read", ""),
        ("[repos.a]\nupstream = [\"file:x\"]", 2, 13, "no URL that can be read", "file:///"),
        ("[repos.a]\nupstream = [\"file://host/x\"]", 2, 13, "no URL that can be read", "file:///"),
        ("[engine]\nsocket = \"/run/qd/\"", 2, 10, "this names a directory", "engine.sock"),
        ("[roles]\nadmin = [\"@@ops\"]", 2, 10, "no user or group", ""),
        ("[roles]\nadmin = [\"a\\u001bb\"]", 2, 10, "no user or group", ""),
        ("[secrets]\nt = \"file:/\"", 2, 5, "the whole machine", ""),
        ("[repos.a]\ntree = \"/\"", 2, 8, "`/` is the whole machine", "of its own"),
        ("[repos.a]\ntree = \"//./\"", 2, 8, "is the whole machine", ""),
        ("[repos.a]\ntree = \"/a\\u0000b\"", 2, 8, "no NUL in it", ""),
        ("[repos.a]\ntree = \"/s/x\"\n[repos.b]\ntree = \"/s//x/\"", 4, 8, "`a` and `b` have the same tree", "a directory of its own"),
        ("[repos.b]\ntree = \"/s/x\"\n[repos.a]\ntree = \"/s/x/y\"", 4, 8, "inside that of `b`, /s/x", "removes what it does not know"),
        ("[repos.b]\ntree = \"/s/x/y\"\n[repos.a]\ntree = \"/s/x\"", 4, 8, "the tree of `b` lies inside this one: /s/x/y", ""),
        ("[mirror]\nroots = [\"/\"]", 2, 10, "the whole machine", ""),
        ("[mirror]\nroots = [\"srv\"]", 2, 10, "not an absolute path", ""),
        ("[on_failure]\n", 1, 1, "has no command", "add command"),
        ("[notify.room]\n", 1, 9, "[notify.room] has no command", "add command"),
        ("[notify.room]\ncommand = \"a 'b\"", 2, 11, "never closed", ""),
        ("[notify.room]\ncommnd = \"a\"", 2, 1, "unknown key `commnd`", "did you mean"),
        (
            "[secrets]\nwebhook = \"env:X\"\n[notify.room]\ncommand = \"a\"\nsecrets = [\"webhok\"]",
            5,
            12,
            "no secret `webhok`",
            "did you mean `webhook`?",
        ),
    ];
    for (text, line, column, message, help) in table {
        let problems = Site::parse(text).expect_err(text);
        let hit = problems.iter().find(|p| p.message.contains(message) && p.help.contains(help));
        let Some(p) = hit else { panic!("{text:?}: {problems:?}") };
        assert_eq!((p.line, p.column), (line, column), "{text:?}: {p:?}");
    }
}

#[test]
fn a_file_that_is_nothing_but_slips_is_answered_with_the_first_of_them() {
    let slips: String = (0..60_000).map(|n| format!("slip{n} = 1\n")).collect();
    for text in [slips, "no toml\n".repeat(100_000)] {
        let all = Site::parse(&text).unwrap_err();
        assert!(all.len() <= 101 && all.last().unwrap().message.contains("the others are not shown"), "{}", all.len());
        assert!(crate::config::problem::render(&all, "site.toml", &text, false).len() < 200_000);
    }
    let socket = |name: usize| Site::parse(&format!("[engine]\nsocket = \"/{}/{}\"\n", "d".repeat(300), "s".repeat(name)));
    assert!(socket(80).is_ok(), "a directory of any length is reached");
    assert!(socket(81).unwrap_err()[0].message.contains("81 bytes"));
}

#[test]
fn all_errors_come_at_once_and_a_secret_is_not_repeated() {
    let problems = Site::parse("read_onyl = true\ntime_zone = 5\n[secrets]\nt = \"hunter2hunter2\"\n").unwrap_err();
    assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [1, 2, 4]);
    assert!(problems.iter().all(|p| !p.message.contains("hunter2") && !p.help.contains("hunter2")));
}

#[test]
fn trees_that_only_others_write_may_lie_inside_each_other_and_neighbours_with_like_names_too() {
    let external = "writer = \"external\"\n";
    let nested = format!("[repos.a]\ntree = \"/s/x\"\n{external}[repos.b]\ntree = \"/s/x/y\"\n{external}");
    assert!(Site::parse(&nested).is_ok());
    assert!(Site::parse(&nested.replacen(external, "", 1)).is_err(), "one of them is ours");
    assert!(Site::parse("[repos.a]\ntree = \"/s/x\"\n[repos.b]\ntree = \"/s/xy\"\n[repos.c]\n[repos.d]\n").is_ok());
}

#[test]
fn roots_of_promotions_lie_beside_the_trees_and_no_pointer_is_moved_by_two() {
    let text = "[repos.a]\ntree = \"/s/a\"\n[content.c]\nrepos = [\"a\"]\n[promotion.el9]\nset = \"c\"\nroot = \"/s\"\n";
    assert!(Site::parse(text).is_ok());
    let said =
        |text: &str| Site::parse(text).unwrap_err().iter().map(|p| format!("{}:{} {}", p.line, p.column, p.message)).collect::<Vec<_>>();
    assert_eq!(said(&text.replace("\"/s\"", "\"/s/a/x\"")), ["7:8 this root lies inside the tree of `a`, /s/a"]);
    let two = format!("{text}[promotion.el10]\nset = \"c\"\nroot = \"/s/\"\n");
    assert_eq!(said(&two), ["10:8 [promotion.el9] has the same root, and moves `stable` in it too"]);
    assert!(Site::parse(&format!("{two}pointer = \"stable10\"\ncandidate = \"next10\"\n")).is_ok());
    let dcs = text.replace("root = \"/s\"\n", "[promotion.el9.dc.x]\nroot = \"/s\"\n[promotion.el9.dc.y]\nroot = \"/s/\"\n");
    assert_eq!(said(&dcs), ["10:8 two datacentres have the root /s"]);
    assert_eq!(said(&format!("{text}trees = [\"a=/s/a\", \"a=/s/b\"]\n")), ["8:20 `a` has two trees here"]);
}

#[test]
fn what_will_hardly_do_what_was_meant_is_told_and_is_no_error() {
    let told = |text: &str| {
        Site::examine(text).unwrap().doubts.iter().map(|p| format!("{}:{} {} {}", p.line, p.column, p.message, p.help)).collect::<Vec<_>>()
    };
    let text = "[mirror]\nroots = [\"/srv/m\"]\n[repos.a]\ntree = \"/srv/mm/a\"\n[repos.b]\ntree = \"/srv/m/b\"\n[repos.c]\ntree = \"/x\"\nwriter = \"external\"\n";
    let all = told(text);
    assert!(all.len() == 1 && all[0].starts_with("4:8 the tree of `a` lies below no root of [mirror]"), "{all:?}");
    let text = "[repos.base]\n[content.c]\nrepos = [\"base\"]\n[promotion.el9]\nset = \"c\"\nroot = \"/s\"\ntrees = [\"bsae=/t/b\"]\n";
    assert_eq!(told(text), ["7:10 `bsae` is no repository of the set did you mean `base`?"]);
    assert!(told(&text.replace("bsae", "base")).is_empty());
    let text = "[secrets]\nc = \"auto\"\n[repos.a]\nwriter = \"cobbler\"\n[repos.b]\nwriter = \"cobbler\"\n";
    let all = told(text);
    assert!(all.len() == 2 && all[0].starts_with("4:10 `writer` is a Cobbler, and this file names none"), "{all:?}");
    assert!(told(&format!("{text}[cobbler.c]\nurl = \"https://h/\"\nuser = \"u\"\nsecret = \"c\"\n")).is_empty());
}

#[test]
fn what_is_no_toml_is_told_in_our_words_at_its_place() {
    for (text, line, column, message, help) in [
        ("time_zone: \"UTC\"\n", 1, 10, "ends with `=` here, not with `:`", "NAME = value"),
        ("time_zone = UTC\n", 1, 13, "without quotes", "around it"),
        ("time_zone = “UTC”\n", 1, 13, "no quote of TOML", "write `\"`"),
        ("read_only = yes\n", 1, 13, "neither true nor false", "without quotes"),
        ("read_only = True\n", 1, 13, "neither true nor false", "lower case"),
        ("read_only = true;\n", 1, 13, "no `;` ends a line", "take it out"),
        ("time_zone =\n", 1, 12, "a value is missing", "take the line out"),
        ("time_zone = \"UTC\nread_only = true\n", 1, 17, "not closed", "with the quote that it began with"),
        ("[engine]\nsocket = \"/a\"\n[engine]\n", 3, 2, "the first is on line 1", "keep one"),
        ("[engine\nsocket = \"/a\"\n", 1, 8, "not closed", "`]`"),
        ("[repos.a]\nupstream = [\"http://x/\"\nwriter = \"external\"\n", 3, 1, "the list above is not closed", "`]`"),
        ("[repos.a]\nupstream = [\"http://x/\" \"http://y/\"]\n", 2, 25, "a comma is missing", "add it"),
        ("[log.errors]\na = \"\\d+\"\n", 2, 7, "begins no escape", "'\\d+'"),
        ("// hello\n", 1, 1, "no key", "`#`"),
        ("[runner]\nexecutors = 04\n", 2, 13, "no zero", "quotes"),
        ("<<<<<<< HEAD\nread_only = true\n=======\n", 1, 1, "a conflict of a merge", "keep one side"),
        ("# \u{1b}[31m\n", 1, 3, "a control character", "take it out"),
        ("time_zone\u{a0}= \"UTC\"\n", 1, 10, "of another kind", "type it anew"),
        ("read_only = true\rtime_zone = \"UTC\"\n", 1, 18, "without a line feed", "LF"),
        ("time_zone = \"\\ud800\"\n", 1, 16, "no whole character", "\\U0001F600"),
        ("time_zone = \"UTC\" read_only = true\n", 1, 19, "something follows the value", "another line"),
        ("{\"time_zone\": \"UTC\"}\n", 1, 1, "is it JSON?", "NAME = value"),
        ("\u{feff}read_onyl = true\n", 1, 1, "unknown key", "read_only"),
    ] {
        let all = Site::parse(text).expect_err(text);
        let p = &all[0];
        assert!(p.message.contains(message) && p.help.contains(help), "{text:?}: {all:?}");
        assert_eq!((p.line, p.column), (line, column), "{text:?}: {p:?}");
        assert!(all.windows(2).all(|p| p[0].line < p[1].line), "{text:?}: {all:?}");
    }
}
