//! `notify:` through the binary: the site's command is a step like others, gets what the pipeline says as variables and its secrets as files,
//! and tells of red and of green again.

use serde_json::json;

use crate::support::Home;

#[test]
fn people_are_told_of_red_and_of_green_again_and_no_secret_is() {
    let home = Home::new();
    let (told, switch, tell) = (home.root().join("told"), home.root().join("switch"), home.root().join("tell"));
    // What it is told is data: a shell that quotes its variables runs none of it.
    let script = format!(
        "#!/bin/sh\nprintf '%s|' \"$1\" \"$notify_room\" \"$notify_text\" \"$QD_RUN\" \"$QD_VERDICT\" \"$QD_FAILED_STAGE\" >> {0}\ncat \"$QD_SECRETS_DIR/hook\" >> {0}; echo >> {0}\necho \"with $(cat \"$QD_SECRETS_DIR/hook\")\"\n",
        told.display()
    );
    std::fs::write(&tell, script).unwrap();
    std::fs::set_permissions(&tell, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let hook = home.root().join("hook");
    std::fs::write(&hook, "https://hooks.example.org/s3cr3t").unwrap();
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    home.site(&format!(
        "[secrets]\nhook = \"file:{}\"\n[notify.room]\ncommand = \"{} 'to all'\"\nsecrets = [\"hook\"]\n",
        hook.display(),
        tell.display()
    ));
    let pipeline = format!(
        "format: 1\nname: p\nparameters: {{what: {{type: string, default: \"$(touch {0}); `id`\"}}}}\nstages:\n  - name: try\n    run: test -e {1}\npost:\n  failure: [{{notify: room, with: {{room: \"#ops\", text: \"${{run.id}} at ${{run.failed_stage}}: ${{params.what}}\"}}}}]\n  fixed: [{{notify: room, with: {{room: \"#ops\", text: back to green}}}}]\n",
        home.root().join("owned").display(),
        switch.display()
    );
    home.pipeline("p", &pipeline);
    home.qd(["pipeline", "lint", "p"]).expect(0);
    home.qd(["run", "p", "--wait"]).expect(1);
    std::fs::write(&switch, "").unwrap();
    for _ in 0..2 {
        home.qd(["run", "p", "--wait"]).expect(0);
    }
    let owned = home.root().join("owned");
    let lines: Vec<String> = std::fs::read_to_string(&told).unwrap().lines().map(str::to_owned).collect();
    let want = [
        format!("to all|#ops|p#1 at try: $(touch {}); `id`|p#1|failure|try|https://hooks.example.org/s3cr3t", owned.display()),
        "to all|#ops|back to green|p#2|success||https://hooks.example.org/s3cr3t".to_owned(),
    ];
    assert_eq!(lines, want, "red once, green again once");
    assert!(!owned.exists());
    let log = home.qd(["log", "p#1"]).expect(0).stdout;
    assert!(log.contains("with ***") && !log.contains("s3cr3t"), "{log}");
    // A room that cannot be told fails its step, and so the run says so.
    std::fs::write(&tell, "#!/bin/sh\nexit 7\n").unwrap();
    std::fs::remove_file(&switch).unwrap();
    let run = home.qd(["--json", "run", "p", "--wait"]).expect(1).json();
    let post = run["stages"].as_array().unwrap().iter().find(|s| s["name"] == "Post Actions (failure)").unwrap();
    assert_eq!(
        (&post["verdict"], &post["steps"][0]["name"], &post["steps"][0]["exit_code"]),
        (&json!("failure"), &json!("notify room"), &json!(7))
    );
    // The site no longer has it: nothing starts that could not say so.
    home.site("");
    let gone = home.qd(["run", "p"]).expect(2);
    assert!(gone.stderr.contains("the site has no [notify.room]"), "{gone:?}");
}
