//! The invariants of the runner, I1 to I20, and which tests prove each: the one table. A test that is named here exists, a test that
//! carries a number in its name is named here.
//!
//! `it::` is a test of this program, `lib::` a unit test, `chaos::` a check of the chaos harness (`tests/chaos/check.rs`).

mod bounds;
mod clocks;
mod idle;
mod people;
mod power;
mod retention;
mod snapshot;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

struct Invariant {
    id: &'static str,
    says: &'static str,
    tests: &'static [&'static str],
}

const fn invariant(id: &'static str, says: &'static str, tests: &'static [&'static str]) -> Invariant {
    Invariant { id, says, tests }
}

const INVARIANTS: &[Invariant] = &[
    invariant(
        "I1",
        "an attempt starts at most once",
        &[
            "chaos::I1",
            "it::chaos_check::i1_a_command_that_began_twice_is_seen",
            "it::chaos_check::i1_and_i13_a_stage_that_started_two_runs_or_did_not_wait_is_seen",
            "it::runner::restart::i1_a_step_that_runs_across_a_restart_runs_once_and_its_exit_code_is_known",
            "it::shim::crash::before_the_evidence_the_command_never_ran_i1",
            "it::shim::crash::between_evidence_and_verdict_it_is_lost_and_nothing_runs_on_i1_i6",
            "it::shim::crash::two_shims_of_one_attempt_start_it_once_i1",
            "it::invariants::power::i1_no_power_cut_makes_a_command_start_twice_nor_a_verdict_that_nobody_wrote_i3_i13",
        ],
    ),
    invariant(
        "I2",
        "every attempt gets exactly one terminal verdict",
        &[
            "chaos::I2",
            "it::chaos_check::i2_a_missing_or_second_verdict_is_seen",
            "it::runner::restart::i2_a_killed_shim_is_lost_and_only_an_idempotent_step_that_says_so_starts_again",
        ],
    ),
    invariant(
        "I3",
        "a written status.json is never contradicted by the store",
        &[
            "chaos::I3",
            "it::chaos_check::i3_a_contradicted_status_is_seen",
            "it::runner::restart::i3_an_end_that_nobody_listened_to_is_taken_in_at_the_next_start",
            "it::shim::crash::a_written_verdict_always_wins_i3",
            "it::invariants::power::i1_no_power_cut_makes_a_command_start_twice_nor_a_verdict_that_nobody_wrote_i3_i13",
        ],
    ),
    invariant(
        "I4",
        "numbers of runs never repeat and never go back",
        &[
            "chaos::I4",
            "it::chaos_check::i4_numbers_that_repeat_skip_or_vanish_are_seen",
            "it::runner::lifecycle::i4_numbers_go_on_causes_are_taken_once_and_retention_keeps_what_is_pinned",
        ],
    ),
    invariant(
        "I5",
        "two holders of an exclusive lock never overlap",
        &[
            "chaos::I5",
            "it::chaos_check::i5_two_holders_are_seen",
            "it::chaos_check::i5_a_third_holder_of_two_slots_is_seen",
            "it::runner::lifecycle::i5_two_holders_of_an_exclusive_lock_never_overlap_and_the_holder_is_named",
            "it::runner::lifecycle::i5_holds_for_stages_that_look_up_secrets_before_they_take_their_lock",
            "lib::src/runner/model/queue/tests.rs::i5_no_limit_is_passed_and_nobody_starves",
        ],
    ),
    invariant(
        "I6",
        "no process of an attempt survives its verdict, unless daemons are allowed",
        &[
            "chaos::I6",
            "it::chaos_check::i6_and_i7_survivors_and_torn_logs_are_seen",
            "it::shim::crash::between_evidence_and_verdict_it_is_lost_and_nothing_runs_on_i1_i6",
            "it::shim::engine::a_shim_killed_while_running_is_lost_and_its_children_are_stopped_i6",
            "it::shim::engine::an_ordinary_user_is_supervised_as_well_i6_i8",
            "it::shim::hostile::a_daemon_with_its_own_session_dies_with_its_step_i6",
            "it::shim::hostile::a_fork_storm_dies_whole_i6",
        ],
    ),
    invariant(
        "I7",
        "the log is a prefix of what the step wrote, or a record says how much is missing",
        &[
            "chaos::I7",
            "it::chaos_check::i6_and_i7_survivors_and_torn_logs_are_seen",
            "it::shim::logs::bytes_are_kept_as_they_are_i7",
            "it::shim::logs::an_endless_line_is_capped_in_constant_memory_i7",
            "it::shim::logs::many_lines_over_the_cap_keep_head_and_tail_whole_i7",
            "lib::src/runner/shim/logfile.rs::over_the_cap_the_head_and_the_newest_tail_stay_and_the_record_counts_i7",
        ],
    ),
    invariant(
        "I9",
        "each scheduled occurrence has exactly one row: ran, late, coalesced, or skipped and why",
        &[
            "chaos::I9",
            "it::chaos_check::i9_an_occurrence_that_is_missing_doubled_or_unexplained_is_seen",
            "it::schedule::an_engine_that_dies_while_it_fires_leaves_one_row_and_one_run_i9",
            "lib::src/engine/scheduler/tests.rs::a_clock_that_jumps_repeats_nothing_and_loses_nothing_i9",
            "lib::src/engine/scheduler/tests.rs::after_a_week_of_outages_every_occurrence_has_exactly_one_row_i9",
            "lib::src/engine/scheduler/tests.rs::what_a_dead_engine_called_missed_before_its_time_is_taken_back_i9",
        ],
    ),
    invariant(
        "I8",
        "no declared secret in log, store, spec, argv, notification or core",
        &[
            "it::secrets::i8::i8_a_declared_secret_planted_in_every_channel_is_found_in_none",
            "it::shim::engine::an_ordinary_user_is_supervised_as_well_i6_i8",
            "it::shim::secrets::a_multi_line_key_is_hidden_line_by_line_i8",
            "it::shim::secrets::a_secret_is_a_private_file_in_memory_and_gone_afterwards_i8",
            "it::shim::secrets::a_secret_is_hidden_however_it_is_written_i8",
            "it::shim::secrets::neither_argv_nor_environment_of_the_shim_tells_i8",
            "lib::src/base/mask/tests.rs::cutting_changes_nothing_and_nothing_leaks_i8",
            "lib::src/base/mask/tests.rs::pauses_never_leak_a_secret_i8",
        ],
    ),
    invariant(
        "I10",
        "a cancel ends in finite time",
        &[
            "it::chaos_check::i10_a_run_ends_as_cancelled_only_where_that_was_asked_for",
            "it::shim::crash::on_the_ladder_the_engine_takes_over_i10",
            "it::shim::hostile::term_is_enough_for_the_polite_and_kill_for_the_others_i10",
            "lib::src/runner/shim/ladder.rs::the_whole_ladder_is_climbed_in_bounded_time_i10",
            "it::invariants::bounds::i10_a_cancel_ends_the_deaf_with_the_engine_killed_in_between",
        ],
    ),
    invariant(
        "I11",
        "a timeout fires with the engine dead (how late: reported)",
        &[
            "it::shim::limits::the_timeout_fires_without_an_engine_i11",
            "it::shim::limits::silence_is_a_stall_and_output_or_progress_is_not_i11",
            "it::invariants::bounds::i11_a_timeout_fires_while_the_engine_is_dead",
            "it::invariants::clocks::i11_deadlines_stand_on_boot_time_under_a_shifted_clock",
            "it::invariants::clocks::i11_a_wall_clock_that_jumps_moves_no_deadline",
        ],
    ),
    invariant(
        "I12",
        "after a crash with 10,000 runs commands are accepted (how soon: reported)",
        &["it::invariants::bounds::i12_after_a_crash_with_a_long_history_commands_are_accepted"],
    ),
    invariant(
        "I13",
        "nothing is a success that did not write exit 0",
        &[
            "chaos::I13",
            "it::chaos_check::i13_a_success_that_nobody_wrote_is_seen",
            "it::chaos_check::i1_and_i13_a_stage_that_started_two_runs_or_did_not_wait_is_seen",
            "it::shim::hostile::only_exit_0_is_exit_0_i13",
            "lib::src/runner/attempt/ingest.rs::i13_only_a_written_exit_0_is_a_success",
            "it::invariants::power::i1_no_power_cut_makes_a_command_start_twice_nor_a_verdict_that_nobody_wrote_i3_i13",
        ],
    ),
    invariant(
        "I14",
        "command line, API and event stream show one state",
        &[
            "it::invariants::snapshot::i14_command_line_api_and_two_streams_show_one_state",
            "it::people::two_streams_and_the_command_line_see_one_state",
        ],
    ),
    invariant("I15", "a drain survives a restart", &["it::invariants::people::i15_a_drain_survives_a_kill_and_says_who_and_why"]),
    invariant(
        "I16",
        "the audit chain verifies, and names a person for every change",
        &[
            "chaos::I16",
            "it::chaos_check::i16_a_run_without_its_one_entry_is_seen",
            "it::schedule::what_was_missed_is_shown_and_made_up_by_hand_once",
            "it::secrets::service::a_secret_is_set_used_and_rotated_in_the_secret_service",
            "it::invariants::people::i16_every_action_that_changes_something_leaves_an_entry_with_its_person",
            "it::people::two_people_approve_a_stage_and_everybody_else_is_told_why_not",
        ],
    ),
    invariant(
        "I17",
        "retention never removes a pinned, running or referenced run",
        &[
            "lib::src/runner/retention.rs::i17_a_run_stays_while_any_rule_keeps_it",
            "it::runner::uses::i17_a_run_that_an_open_or_a_pinned_run_uses_is_never_removed",
            "it::runner::uses::i17_nothing_begins_to_depend_on_a_run_that_retention_is_removing",
            "it::invariants::retention::i17_pinned_running_and_referenced_runs_outlive_every_sweep",
        ],
    ),
    invariant(
        "I18",
        "a full disk never turns a passing step into a failing one",
        &[
            "it::runner::full_disk::i18_a_disk_without_bytes_holds_runs_up_and_loses_none",
            "it::runner::full_disk::i18_a_disk_without_inodes_holds_runs_up_and_loses_none",
            "it::runner::full_disk::i18_a_small_disk_without_ballast_is_no_worse",
            "it::runner::full_disk::i18_an_engine_starts_on_a_full_disk_and_takes_in_what_ended_meanwhile",
            "it::shim::logs::a_disk_that_is_full_before_the_start_starts_nothing_i18",
            "it::shim::logs::a_disk_that_stays_full_still_holds_the_verdict_i18",
            "it::shim::logs::a_full_disk_fails_no_step_and_what_is_missing_is_counted_i18",
        ],
    ),
    invariant(
        "I19",
        "a shim of an older version is adopted, by every row of the recovery matrix; a newer format is set aside",
        &[
            "it::shim::golden::a_finished_attempt_of_format_1_is_ingested_i19",
            "it::upgrade::i19_a_verdict_that_was_written_is_taken_in_once_whatever_else_is_there",
            "it::upgrade::i19_a_verdict_beats_a_supervisor_that_still_holds_its_lock",
            "it::upgrade::i19_a_supervisor_that_lives_is_adopted_and_its_end_taken_in",
            "it::upgrade::i19_one_that_never_started_is_started_and_one_that_may_have_run_is_lost",
            "it::upgrade::i19_fields_of_a_later_version_are_no_reason_to_refuse_a_file",
            "it::upgrade::i19_a_newer_format_is_set_aside_with_words_and_without_a_verdict",
        ],
    ),
    invariant(
        "I20",
        "an idle engine does nothing: no wake-ups but due timers, no write",
        &["it::invariants::idle::i20_an_idle_engine_neither_wakes_nor_writes"],
    ),
];

/// Names of every test of this program, as its own harness tells them.
fn own_tests() -> BTreeSet<String> {
    let out = Command::new(std::env::current_exe().unwrap()).args(["--list", "--format", "terse"]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.lines().filter_map(|l| l.strip_suffix(": test")).map(|n| format!("it::{n}")).collect()
}

/// Functions marked as tests in `src/`, as `lib::FILE::NAME`.
fn unit_tests(root: &Path) -> BTreeSet<String> {
    fn functions(items: &[syn::Item], file: &str, out: &mut BTreeSet<String>) {
        for item in items {
            match item {
                syn::Item::Mod(m) => functions(m.content.as_ref().map_or(&[][..], |(_, items)| items), file, out),
                syn::Item::Fn(f) if f.attrs.iter().any(|a| a.path().segments.last().is_some_and(|s| s.ident == "test")) => {
                    out.insert(format!("lib::{file}::{}", f.sig.ident));
                }
                // `proptest! { #[test] fn name(…) }` is no function to the parser.
                syn::Item::Macro(m) if m.mac.path.is_ident("proptest") => {
                    let text = m.mac.tokens.to_string();
                    let words: Vec<&str> = text.split_whitespace().collect();
                    out.extend(words.windows(2).filter(|w| w[0] == "fn").map(|w| {
                        let name = w[1].split('(').next().unwrap_or_default();
                        format!("lib::{file}::{name}")
                    }));
                }
                _ => {}
            }
        }
    }
    let mut out = BTreeSet::new();
    let mut dirs = vec![root.join("src")];
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).unwrap().flatten().map(|e| e.path()) {
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                if !text.contains("test]") && !text.contains("test(") {
                    continue;
                }
                let parsed = syn::parse_file(&text).unwrap();
                functions(&parsed.items, &path.strip_prefix(root).unwrap().display().to_string(), &mut out);
            }
        }
    }
    out
}

/// Invariants that the chaos harness reports, as `chaos::ID`.
fn chaos_checks(root: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(root.join("tests/chaos/check.rs")).unwrap();
    let after = |mark| text.split(mark).skip(1).filter_map(|rest: &str| rest.split('"').next()).map(|id| format!("chaos::{id}"));
    after("bad(\"").chain(after("invariant: \"")).collect()
}

/// `i7` in `…_i7`, `i7_…`, `…_i6_i7_…`.
fn numbers(test: &str) -> Vec<String> {
    let name = test.rsplit("::").next().unwrap_or_default();
    let is_number = |w: &&str| w.strip_prefix('i').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    name.split('_').filter(is_number).map(str::to_uppercase).collect()
}

#[test]
fn every_invariant_has_tests_that_exist_and_every_numbered_test_its_invariant() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let known: BTreeSet<String> = own_tests().into_iter().chain(unit_tests(root)).chain(chaos_checks(root)).collect();
    assert!(known.len() > 300, "the lists of tests were not read: {}", known.len());
    let mut faults = Vec::new();
    let mut table: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for i in INVARIANTS {
        if i.tests.is_empty() {
            faults.push(format!("{} has no test", i.id));
        }
        for test in i.tests {
            if !known.contains(*test) {
                faults.push(format!("{}: there is no test {test}", i.id));
            }
            table.entry(i.id).or_default().insert(test);
        }
    }
    for n in 1..=20 {
        let id = format!("I{n}");
        if !table.contains_key(id.as_str()) {
            faults.push(format!("{id} is not in the table"));
        }
    }
    for test in &known {
        for id in numbers(test) {
            if !table.get(id.as_str()).is_some_and(|t| t.contains(test.as_str())) {
                faults.push(format!("{test} says that it proves {id}, and the table does not name it"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
    for i in INVARIANTS {
        println!("{:<4} {} ({} tests)", i.id, i.says, i.tests.len());
    }
}

#[test]
fn numbers_are_read_from_names_of_tests_and_from_nothing_else() {
    assert_eq!(numbers("it::a::i6_and_i7_survivors_i18"), ["I6", "I7", "I18"]);
    assert!(numbers("it::i1::an_index_i_of_it").is_empty());
}
