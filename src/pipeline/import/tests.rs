//! Tests of the import as a whole: ten files in the style of public projects, two jobs, and everything that is hostile.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::pipeline::load;
use crate::pipeline::tests::catalog;

macro_rules! fixture {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../tests/fixtures/jenkins/", $name)))
    };
}

const TEN: [(&str, &str); 10] = [
    fixture!("os-image.Jenkinsfile"),
    fixture!("rpm-mock.Jenkinsfile"),
    fixture!("salt-kitchen.Jenkinsfile"),
    fixture!("repo-sync.Jenkinsfile"),
    fixture!("docker-push.Jenkinsfile"),
    fixture!("release.Jenkinsfile"),
    fixture!("python-tox.Jenkinsfile"),
    fixture!("go-service.Jenkinsfile"),
    fixture!("terraform.Jenkinsfile"),
    fixture!("iso-build.Jenkinsfile"),
];
/// Everything that projects do to a Jenkinsfile.
const NASTY: [(&str, &str); 5] = [
    fixture!("platform-matrix.Jenkinsfile"),
    fixture!("umbrella.Jenkinsfile"),
    fixture!("deploy-gates.Jenkinsfile"),
    fixture!("gradle-nested.Jenkinsfile"),
    fixture!("release-train.xml"),
];
const JOBS: [(&str, &str); 2] = [fixture!("freestyle.xml"), fixture!("inline.xml")];

fn run(bytes: &[u8], origin: &str) -> Result<Imported, Refused> {
    let name = origin.split('.').next().unwrap_or("x");
    import(&Request { bytes, origin, name, catalog: &catalog(), check: None })
}

fn good(text: &str) -> Imported {
    let made = run(text.as_bytes(), "x.Jenkinsfile").unwrap_or_else(|e| panic!("{e}\n{text}"));
    clean(&made.text);
    made
}

/// The file passes lint without an error.
fn clean(text: &str) {
    let (file, found) = load(text, "x.yml", &catalog());
    let errors: Vec<String> = found.iter().filter(|d| d.is_error() && d.code != "ref.lock").map(ToString::to_string).collect();
    let lacks = found.iter().any(|d| d.code == "ref.lock" && d.is_error());
    assert!(errors.is_empty() && (file.is_some() || lacks), "{errors:#?}\n{text}");
}

/// A pipeline of one stage with these steps.
fn with_steps(steps: &str) -> String {
    format!("pipeline {{ agent any\n options {{ skipDefaultCheckout() }}\n stages {{ stage('s') {{ steps {{\n{steps}\n}} }} }} }}")
}

fn report(made: &Imported) -> String {
    let mut out = String::new();
    for l in &made.report {
        let _ = writeln!(out, "{:>3} {:<12} {}: {}", l.line, l.verdict.as_str(), l.what, l.why);
    }
    out
}

#[test]
fn ten_files_become_pipelines_with_a_report() {
    for (name, text) in TEN.iter().chain(&JOBS).chain(&NASTY) {
        let made = run(text.as_bytes(), name).unwrap_or_else(|e| panic!("{name}: {e}"));
        clean(&made.text);
        insta::assert_snapshot!(*name, format!("{}\n---\n{}", made.text, report(&made)));
    }
}

#[test]
fn what_was_not_converted_is_listed() {
    let mut out = String::new();
    for (name, text) in TEN.iter().chain(&NASTY) {
        let made = run(text.as_bytes(), name).unwrap();
        let s = summary(&made.report);
        let _ = writeln!(out, "{name}: {} converted, {} approximated, {} manual", s.converted, s.approximated, s.manual);
        for l in made.report.iter().filter(|l| l.verdict == Fate::Manual) {
            assert!(!l.why.is_empty() && !l.help.is_empty(), "{name}:{}: manual needs why and what to do", l.line);
            let _ = writeln!(out, "  {}: {} | {}", l.line, l.original, l.help);
        }
    }
    insta::assert_snapshot!(out);
}

/// Every line with a letter or digit that is no comment has its entry.
#[test]
fn no_line_is_left_out() {
    for (name, text) in TEN.iter().chain(&NASTY).filter(|(n, _)| n.ends_with("Jenkinsfile")) {
        let made = run(text.as_bytes(), name).unwrap();
        let mut in_comment = false;
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            in_comment |= line.starts_with("/*");
            let comment = in_comment || line.starts_with("//") || line.starts_with("#!");
            in_comment &= !line.ends_with("*/");
            if !comment && line.bytes().any(|b| b.is_ascii_alphanumeric()) {
                assert!(made.report.iter().any(|l| l.line == i + 1), "{name}:{}: {line}", i + 1);
            }
        }
        let lines: Vec<usize> = made.report.iter().map(|l| l.line).collect();
        assert!(lines.windows(2).all(|w| w[0] < w[1]), "{name}: one entry a line, in order");
    }
}

#[test]
fn a_script_block_becomes_a_failing_step_that_quotes_it() {
    let made = good(&with_steps("script {\n  def x = 1\n  if (x) { sh 'y' }\n}"));
    assert!(made.text.contains("#   script {") && made.text.contains("def x = 1") && made.text.contains("exit 1"), "{}", made.text);
    let manual: Vec<usize> = made.report.iter().filter(|l| l.verdict == Fate::Manual).map(|l| l.line).collect();
    assert_eq!(manual, [4, 5, 6]);
}

#[test]
fn nothing_is_interpolated_into_a_script() {
    let text = "pipeline { agent any\n options { skipDefaultCheckout() }\n parameters { string(name: 'WHO', defaultValue: 'x') }\n\
                stages { stage('s') { steps { sh \"echo '${params.WHO}' ${env.WHO} \\$HOME\" } } } }";
    let made = good(text);
    assert!(made.text.contains(r#"echo ''"${WHO}"'' ${WHO} $HOME"#), "{}", made.text);
}

#[test]
fn secrets_of_the_site_are_asked_for_and_others_are_comments() {
    let made = good(&with_steps("withCredentials([string(credentialsId: 'signing-token', variable: 'T')]) { sh 'use \"$T\"' }"));
    assert!(
        made.text.contains("secrets: [signing-token]") && made.text.contains("T=\"$(cat \"$QD_SECRETS_DIR/signing-token\")\""),
        "{}",
        made.text
    );
    let made = good(&with_steps("withCredentials([string(credentialsId: 'Other Token', variable: 'T')]) { sh 'use \"$T\"' }"));
    assert!(made.text.contains("# secrets: [other-token]"), "{}", made.text);
}

#[test]
fn a_known_upstream_is_a_trigger_and_a_stranger_is_a_comment() {
    let text = |job: &str| {
        format!(
            "pipeline {{ agent any\n triggers {{ upstream(upstreamProjects: '{job}') }}\n stages {{ stage('s') {{ steps {{ sh 'true' }} }} }} }}"
        )
    };
    assert!(good(&text("rpmcanary")).text.contains("\n  - upstream: rpmcanary"));
    assert!(good(&text("nope")).text.contains("# - upstream: nope"));
}

#[test]
fn what_has_no_value_here_or_another_verdict_is_said_of_every_step() {
    let made = good(&with_steps(
        "echo \"see ${env.BUILD_URL}\"\njunit testResults: 'r.xml', allowEmptyResults: true\njunit 'q.xml'\necho 'plain'",
    ));
    let why = |line: usize| made.report.iter().filter(|l| l.line == line).map(|l| format!("{:?} {}", l.verdict, l.why)).collect::<String>();
    assert!(why(4).starts_with("Approximated") && why(4).contains("nothing here knows BUILD_URL: empty"), "{}", report(&made));
    assert!(why(5).contains("unstable, and so does a report that is not there"), "{}", report(&made));
    assert!(why(6).contains("a failed test fails the step") && !why(6).contains("not there"), "{}", report(&made));
    assert!(why(7).starts_with("Converted"), "{}", report(&made));
    // What the lines before a script export reaches a container by name.
    let text = "pipeline { agent { docker { image 'x' } }\n options { skipDefaultCheckout() }\n stages { stage('s') { steps {\nsh 'echo $GIT_COMMIT $NODE_NAME $BRANCH_NAME'\n} } } }";
    let made = good(text);
    for name in ["GIT_COMMIT", "NODE_NAME", "BRANCH_NAME"] {
        assert!(made.text.contains(&format!("-e {name} ")), "{name}: {}", made.text);
    }
}

/// `rpmcanary`, `asks` and `locked` are pipelines of the site, `nope` is none.
#[test]
fn a_build_is_a_stage_that_is_a_run_of_the_other_pipeline() {
    let made = good(&with_steps("sh 'a'\nbuild job: 'x/locked'\nsh 'b'"));
    assert!(made.text.contains("  - name: s 2\n    build: locked\n  - name: s 3\n"), "{}", made.text);
    assert_eq!(made.report.iter().find(|l| l.line == 5).map(|l| l.verdict), Some(Fate::Converted), "{}", report(&made));
    let made = good(&with_steps(
        "build job: 'asks', wait: false, parameters: [string(name: 'size', value: '3'), string(name: 'who', value: \"n${BUILD_NUMBER}\")]",
    ));
    let want = "    build:\n      pipeline: asks\n      parameters:\n        size: 3\n        who: \"n${run.number}\"\n      wait: false\n";
    assert!(made.text.contains(want), "{}", made.text);
    let made = good(&with_steps("retry(2) {\ntimeout(5) {\nbuild job: 'locked', propagate: false\n}\n}"));
    assert!(
        made.text.contains("allow_failure: true\n    timeout: 5m\n    build: locked\n") && !made.text.contains("attempts"),
        "{}",
        made.text
    );
    let line = made.report.iter().find(|l| l.what == "build").unwrap();
    assert!(line.verdict == Fate::Approximated && line.why.contains("the run goes on; it is started once"), "{}", report(&made));
    // What nobody can start here fails, and says what it will be.
    let made = good(&with_steps("build job: 'nope', propagate: false, parameters: [string(name: 'A', value: 'b')]"));
    for part in ["the site has no pipeline nope", "# build:\n", "#   pipeline: nope\n", "#     A: b\n", "# allow_failure: true\n", "exit 1"]
    {
        assert!(made.text.contains(part), "{part}\n{}", made.text);
    }
    for (steps, why) in [
        ("build job: params.X", "its job is computed"),
        ("build job: \"a-${B}\"", "its job is computed"),
        ("build job: 'asks', wait: params.X", "`wait` is computed"),
        ("build job: 'asks', parameters: [string(name: 'who', value: env.GIT_COMMIT)]", "known only while steps run"),
        ("build job: 'asks', parameters: [password(name: 'who', value: 'x')]", "no parameter here"),
        ("build job: 'asks', parameters: [file(name: 'who')]", "of kind `file`"),
        ("build job: 'asks', parameters: params.all", "computed"),
        // Lint knows what the pipeline takes.
        ("build job: 'asks'", "needs a value for `size`"),
        ("build job: 'asks', parameters: [string(name: 'size', value: 'x')]", "cannot be this"),
    ] {
        let made = good(&with_steps(steps));
        assert!(made.report.iter().any(|l| l.verdict == Fate::Manual && l.why.contains(why)), "{steps}\n{}", report(&made));
        assert!(made.text.contains("exit 1"), "{steps}\n{}", made.text);
    }
    // A matrix that only starts the other job is one stage; with other steps, and in a post section, the command line starts it.
    let matrix = |steps: &str| {
        format!(
            "pipeline {{ agent any\n options {{ skipDefaultCheckout() }}\n stages {{ stage('m') {{ matrix {{ axes {{ axis {{ name 'OS'; values 'a', 'b' }} }}\n \
             stages {{ stage('one') {{ steps {{ {steps} }} }} }} }} }} }}\n post {{ always {{ build 'locked' }} }} }}"
        )
    };
    let build = "build job: 'asks', parameters: [string(name: 'size', value: '1'), string(name: 'who', value: OS)]";
    let made = good(&matrix(build));
    assert!(made.text.contains("      OS: [a, b]\n    build:\n") && made.text.contains("who: \"${matrix.OS}\""), "{}", made.text);
    // At the end of the pipeline it is a last stage, which sees how the others ended.
    assert!(made.text.contains("  - name: Afterwards always\n    when: always\n    build: locked\n"), "{}", made.text);
    assert!(!made.text.contains("post:") && !made.text.contains("quarterdeck run"), "{}", made.text);
    let made = good(&matrix(&format!("sh 'x'; {build}")));
    assert!(made.text.contains("quarterdeck run asks -p size=") && made.text.matches("build:").count() == 1, "{}", made.text);
    let text = "pipeline { agent any\n options { skipDefaultCheckout() }\n stages { stage('a') { steps { sh 'x' }\n post { failure { build 'locked' } } }\n stage('b') { steps { sh 'y' } } }\n \
                post { success { sh 'z'\n build job: 'locked', wait: false }\n fixed { build 'nope' } } }";
    let made = good(text);
    for part in [
        "  - name: Afterwards success\n    needs: [a, a afterwards failure, b]\n    when: success\n    build:\n      pipeline: locked\n      wait: false\n",
        "  - name: Afterwards fixed\n    needs: [a, a afterwards failure, b]\n    when: fixed\n    steps:\n",
        "  - name: a afterwards failure\n    when: 'always and stages.\"a\".verdict != \"success\" and stages.\"a\".verdict != \"skipped\"'\n    build: locked\n",
        "  - name: b\n    needs: [a, a afterwards failure]\n",
        "post:\n  success:\n    - name: z\n      run: z\n",
    ] {
        assert!(made.text.contains(part), "{part}\n{}", made.text);
    }
}

#[test]
fn what_lint_refuses_is_quoted_instead() {
    // `${a.b}` in a script would reach the shell as it stands: an error of lint.
    let made = good(&with_steps("sh 'mvn -Dx=${project.version}'"));
    assert!(made.text.contains("exit 1") && made.report.iter().any(|l| l.why.contains("lint says")), "{}", made.text);
}

#[test]
fn blocks_become_keys_of_stages() {
    let made = good(&with_steps("sh 'a'\nretry(3) { sh 'b' }\nlock('disk one') { timeout(5) { sh 'c'\n sh 'd' } }\ncatchError { sh 'e' }"));
    for part in ["retry: {attempts: 3}", "locks: [disk-one]", "timeout: 5m", "allow_failure: true", "- name: s 2", "- name: s 4"] {
        assert!(made.text.contains(part), "{part}\n{}", made.text);
    }
    let told = report(&made);
    assert!(told.contains("approximated lock: locks of a stage; the site has no lock `disk-one`"), "{told}");
    let made = good(&with_steps("lock('kvm') { sh 'a' }"));
    assert!(report(&made).contains("converted    lock: locks of a stage\n"), "{}", report(&made));
}

#[test]
fn a_question_becomes_an_approval_and_its_answers_are_variables() {
    let text = "pipeline { agent any\n stages { stage('Apply') {\n input { message 'Sure?'; submitter 'release-manager,Bob'; parameters { choice(name: 'SIZE', choices: ['a', 'b']) } }\n \
                steps { sh 'make \"$SIZE\"'; input 'Again?'; sh 'x' } } } }";
    let made = good(text);
    for part in [
        "- name: Approve Apply\n",
        "# Jenkins asked: Sure?",
        "roles: [release-manager]",
        "ask: {SIZE: {type: choice",
        "SIZE: \"${approve.SIZE}\"",
        "- name: Approve Apply 2\n",
        "roles: [operator]",
    ] {
        assert!(made.text.contains(part), "{part}\n{}", made.text);
    }
    assert!(made.report.iter().any(|l| l.line == 3 && l.why.contains("no role bob")), "{}", report(&made));
}

#[test]
fn blocks_on_one_line_are_blocks_one_behind_the_other() {
    let made = good(
        "pipeline { agent any\n options { skipDefaultCheckout() }\n stages {\n stage('a') { when { expression { params.X } } steps { sh 'one' } post { always { sh 'two' } } }\n stage('b') { steps { retry(2) { sh 'three' } timeout(5) { sh 'four' } } }\n }\n parameters { booleanParam(name: 'X') }\n}",
    );
    for part in ["when: params.X", "run: one", "always:", "run: two", "attempts: 2", "run: three", "run: four", "timeout: 5m"] {
        assert!(made.text.contains(part), "{part}\n{}", made.text);
    }
    assert!(!made.text.contains("by hand"), "{}", made.text);
}

#[test]
fn what_a_stage_says_goes_before_what_is_around_it() {
    let made = good(
        "pipeline { agent none\n options { skipDefaultCheckout() }\n stages { stage('o') {\n environment { A = 'outer'; B = 'outer' }\n stages { stage('i') {\n environment { A = 'inner' }\n steps { sh 'echo $A $B' } } } } } }",
    );
    assert!(made.text.contains("A: inner") && !made.text.contains("A: outer") && made.text.contains("B: outer"), "{}", made.text);
}

#[test]
fn the_post_section_of_a_group_that_did_not_run_does_not_run() {
    let made = good(
        "pipeline { agent none\n options { skipDefaultCheckout() }\n parameters { booleanParam(name: 'X') }\n stages { stage('o') {\n when { expression { params.X } }\n stages {\n stage('i') { steps { sh 'i' } }\n stage('j') { steps { sh 'j' } }\n }\n post { always { sh 'k' } }\n } } }",
    );
    let when = r#"when: 'always and (stages."i".verdict != "skipped" or stages."j".verdict != "skipped")'"#;
    assert!(made.text.contains(when), "{}", made.text);
}

#[test]
fn no_commands_are_left_out_in_silence() {
    let inside = "pipeline { agent none\n options { skipDefaultCheckout() }\n stages { stage('m') { matrix {\n axes { axis { name 'A'; values 'x', 'y' } }\n stages {\n stage('p') { parallel { stage('q') { steps { sh 'deep' } } } }\n } } } } }";
    let unread =
        "pipeline { agent none\n options { skipDefaultCheckout() }\n stages {\n stage('s') { agent any steps { sh 'deep' } }\n } }";
    for text in [inside, unread] {
        let made = good(text);
        assert!(made.text.contains("by hand: stage") && made.text.contains("sh 'deep'") && made.text.contains("exit 1"), "{}", made.text);
    }
}

#[test]
fn a_checkout_goes_where_it_went_and_says_what_it_lacks() {
    let made = good(&with_steps(
        "checkout([$class: 'GitSCM', branches: [[name: '*/dev'], [name: 'x']], extensions: [[$class: 'RelativeTargetDirectory', relativeTargetDir: 'lib'], [$class: 'CleanBeforeCheckout'], [$class: 'SubmoduleOption', recursive: true]], userRemoteConfigs: [[url: 'https://h/c.git']]])\ncheckout scmGit(branches: [[name: 'main']], extensions: [cleanBeforeCheckout(), lfs()], userRemoteConfigs: [[url: 'https://h/d.git']])\nlock(label: 'loop', quantity: 2) { sh 'losetup' }",
    ));
    assert!(made.text.contains("dest: lib"), "{}", made.text);
    let told = report(&made);
    for part in
        ["its extension SubmoduleOption, further branches or remotes", "its extension lfs", "one slot, whatever its `quantity` says"]
    {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!told.contains("Clean") || !told.contains("its extension Clean"), "{told}");
}

#[test]
fn everything_on_a_line_is_told() {
    let made = good(&with_steps("deployTo env: 'prod'; notifySlack('done')"));
    let told = report_text(&made.report, "J");
    assert!(told.contains("J:4: manual: deployTo:") && told.contains("J:4: manual: notifySlack:"), "{told}");
}

#[test]
fn refusals_say_where_and_what_to_do() {
    for (text, at, code, what) in [
        ("node('x') {\n  sh 'y'\n}", "1:1", "import.refused", "scripted pipeline"),
        ("timestamps {\n  timeout(5) {\n    node { sh 'y' }\n  }\n}", "3:5", "import.refused", "scripted pipeline"),
        ("", "1:1", "import.refused", "nothing in this file"),
        ("println 'x'", "1:1", "import.refused", "no `pipeline { … }` block"),
        ("pipeline {\n  agent any\n", "1:10", "import.syntax", "never closed"),
        ("pipeline {\n  agent any }\n}", "3:1", "import.syntax", "closes nothing"),
        ("pipeline {\n  sh 'abc\n}", "2:6", "import.syntax", "never ends"),
        ("pipeline { agent any }", "1:1", "import.refused", "no `stages`"),
        ("pipeline { stages { stage('s') { steps { sh 'x' } } } }\npipeline { stages { } }", "2:1", "import.refused", "second"),
        ("a\0b", "1:2", "import.refused", "NUL"),
        ("<?xml version='1.1'?><!DOCTYPE x><project/>", "1:22", "import.refused", "document type"),
        ("<folder/>", "1:1", "import.refused", "holds jobs"),
        ("<flow-definition><definition><scriptPath>ci/J</scriptPath></definition></flow-definition>", "1:18", "import.refused", "ci/J"),
    ] {
        let refused = run(text.as_bytes(), "J").unwrap_err();
        let d = &refused.diagnostic;
        assert_eq!((format!("{}:{}", d.line, d.column).as_str(), d.code.as_str()), (at, code), "{text}: {d}");
        assert!(d.message.contains(what) && !d.help.is_empty(), "{text}: {d}");
    }
    let d = run(b"pipeline { \xff }", "J").unwrap_err().diagnostic;
    assert!((d.line, d.column) == (1, 12) && d.message.contains("UTF-8"), "{d}");
    assert_eq!(run(&vec![b' '; MAX_BYTES + 1], "J").unwrap_err().diagnostic.code, "import.limit");
}

#[test]
fn marks_and_line_ends_of_other_systems_change_nothing() {
    let (name, text) = TEN[0];
    let plain = run(text.as_bytes(), name).unwrap();
    let windows = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    assert_eq!(run(windows.as_bytes(), name).unwrap(), plain);
}

/// Long inputs of which a part is looked at again and again would not end here.
#[test]
fn long_and_deep_inputs_end() {
    let n = 200_000;
    let many = |part: &str, n: usize| part.repeat(n);
    for text in [
        many("pipeline { ", n),
        many("a(", n),
        many("[", n),
        many("{", n),
        many("\"${", n),
        many("'''", n) + "'",
        many("/", n),
        many("a /b\n", n),
        many("/* */", n),
        many("x = ", n),
        format!("pipeline {{ stages {{ {} }} }}", many("stage('a') { steps { sh 'x' } }\n", 20_000)),
        with_steps(&many("sh 'x'\n", 20_000)),
        with_steps(&many("sh 'x';", 50_000)),
        with_steps(&many("foo {", 60)),
        with_steps(&format!("sh '''{}'''", many("x\n", n))),
        format!(
            "pipeline {{ agent any\n environment {{ {} }}\n stages {{ stage('s') {{ steps {{ sh 'x' }} }} }} }}",
            (0..20_000).map(|i| format!("A{i} = credentials('a')\n")).collect::<String>()
        ),
        format!(
            "pipeline {{ agent any\n environment {{ A0 = 'xxxxxxxx'\n {} }}\n stages {{ stage('s') {{ steps {{ sh 'x' }} }} }} }}",
            (1..60).map(|i| format!("A{i} = \"${{A{0}}}${{A{0}}}\"\n", i - 1)).collect::<String>()
        ),
        format!("<a>{}</a>", many("<b/>", 300_000)),
        many("<a>", n),
        format!(
            "<project><builders>{}</builders></project>",
            many("<hudson.tasks.Shell><command>x</command></hudson.tasks.Shell>", 20_000)
        ),
    ] {
        if let Ok(made) = run(text.as_bytes(), "x.Jenkinsfile") {
            clean(&made.text);
        }
    }
}

fn words() -> impl Strategy<Value = String> {
    const WORDS: [&str; 44] = [
        "pipeline",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "agent any\n",
        "stages",
        "stage('a')",
        "steps",
        "sh 'x'\n",
        "sh \"${params.A} ${b}\"\n",
        "script",
        "when",
        "branch 'main'\n",
        "expression { params.A == 'x' }\n",
        "post",
        "always",
        "environment",
        "A = 'x'\n",
        "B = credentials('c')\n",
        "parameters",
        "string(name: 'A')\n",
        "matrix",
        "axes",
        "axis { name 'X'; values 'a', 'b' }\n",
        "parallel",
        "options",
        "timeout(5)\n",
        "retry(2) {",
        "dir('x') {",
        "withEnv(['A=b']) {",
        "input 'go?'\n",
        "triggers",
        "cron('H * * * *')\n",
        "'''",
        "\"",
        "\n",
        ",",
        ":",
        "=",
        "$",
        "/",
    ];
    prop::collection::vec(prop::sample::select(&WORDS[..]), 0..60).prop_map(|w| w.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = run(&bytes, "x.Jenkinsfile");
    }

    #[test]
    fn what_is_made_of_any_words_passes_lint(text in words()) {
        if let Ok(made) = run(text.as_bytes(), "x.Jenkinsfile") {
            clean(&made.text);
        }
        if let Ok(made) = run(with_steps(&text).as_bytes(), "x.Jenkinsfile") {
            clean(&made.text);
        }
    }

    #[test]
    fn a_damaged_file_is_refused_or_becomes_a_clean_one(which in 0..17usize, from in 0..3_000usize, len in 0..80usize, put in "[ -~]{0,12}|\\PC{0,4}|[\u{1}-\u{1f}\u{7f}\u{2028}]{1,3}") {
        let all: Vec<&str> = TEN.iter().chain(&JOBS).chain(&NASTY).map(|(_, t)| *t).collect();
        let text: Vec<char> = all[which].chars().collect();
        let from = from.min(text.len());
        let damaged: String = text[..from].iter().copied().chain(put.chars()).chain(text[(from + len).min(text.len())..].iter().copied()).collect();
        if let Ok(made) = run(damaged.as_bytes(), "x.Jenkinsfile") {
            clean(&made.text);
        }
    }

    #[test]
    fn any_text_in_any_string_passes_lint(text in "(\\PC|[\u{1}-\u{1f}\u{7f}\u{85}\u{2028}\u{feff}'\"\\\\$`{}#:\n -]){0,30}") {
        let quoted = text.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n");
        let source = format!(
            "pipeline {{ agent any\n parameters {{ string(name: 'P', defaultValue: '{quoted}', description: '{quoted}'); choice(name: 'C', choices: ['{quoted}', 'b']) }}\n environment {{ E = '{quoted}'; F = \"${{params.P}}{quoted2}\" }}\n \
             stages {{ stage('{quoted}') {{ when {{ equals expected: '{quoted}', actual: params.P }}\n steps {{ sh '{quoted}'; sh label: '{quoted}', script: 'x'; echo '{quoted}'; dir('{quoted}') {{ sh 'y' }}\n archiveArtifacts '{quoted}'; writeFile file: 'f', text: '{quoted}' }} }} }} }}",
            quoted2 = text.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n")
        );
        if let Ok(made) = run(source.as_bytes(), "x.Jenkinsfile") {
            clean(&made.text);
        }
    }
}
