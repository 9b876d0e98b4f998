//! The table itself: every key of every context.

use super::ty::{Context, Key, Status, Ty};

const fn key(name: &'static str, ty: &'static Ty, doc: &'static str) -> Key {
    Key { name, ty, required: false, doc, status: Status::Here }
}

const fn required(name: &'static str, ty: &'static Ty, doc: &'static str) -> Key {
    Key { required: true, ..key(name, ty, doc) }
}

const fn later(name: &'static str, what: &'static str, instead: &'static str) -> Key {
    Key { name, ty: &Ty::Any, required: false, doc: what, status: Status::Later { what, instead } }
}

const DURATION: Ty = Ty::Duration { zero: false };
const SPAN: Ty = Ty::Duration { zero: true };
const COUNT: Ty = Ty::Int { min: 1, max: 10_000 };
const SETS: Ty = Ty::OneOrMore(&Ty::Name);
const WORDS: Ty = Ty::OneOrMore(&Ty::Line);
const ENV_TY: Ty = Ty::Map(&ENV);
const SECRETS: Ty = Ty::OneOrMore(&Ty::Either(&Ty::Name, &SECRET));
const INPUTS: Key =
    key("inputs", &INPUTS_TY, "files that another run kept, copied into the workspace before its first step, each proved by its sha256");
const INPUTS_TY: Ty = Ty::List(&Ty::Map(&INPUT));
const ARTIFACTS: Ty = Ty::OneOrMore(&Ty::Either(&Ty::Line, &ARTIFACT));
const POST_TY: Ty = Ty::Map(&POST);
const POST_STEPS: Ty = Ty::List(&Ty::Map(&POST_STEP));
const SCRIPT: Ty = Ty::Script;
const WITH: Ty = Ty::Map(&FIELDS);
const DAEMON: Ty = Ty::Word {
    words: &[("allowed", "processes may outlive the step; they are listed, not killed"), ("refused", "what is left is killed (default)")],
    later: &[],
};

const NOTIFY: Key = key(
    "notify",
    &Ty::Name,
    "instead of a script: the command of `[notify.NAME]` in the site file; it gets `with` as variables notify_FIELD, beside QD_VERDICT and QD_FAILED_STAGE",
);
const AGENT: Key = later("agent", "remote executors (agent:)", "every step runs on this machine: call ssh in a `run:`");
const TEMPLATE: Key = later("template", "templates", "use `matrix:` or `env:` for what repeats");

pub static FILE: Context = Context {
    name: "pipeline",
    noun: "a pipeline file",
    free: None,
    keys: &[
        required("format", &Ty::Int { min: 1, max: 1 }, "version of the file format: 1"),
        required("name", &Ty::Name, "name of the pipeline; also the first part of its runs, NAME#N"),
        key("description", &Ty::Text, "what it is for, for the list of pipelines"),
        key("triggers", &Ty::List(&Ty::Map(&TRIGGER)), "what starts it beside people; without it only people do"),
        key("parameters", &Ty::Map(&PARAMETERS), "what may be chosen at start; each reaches `run:` as a variable of its name"),
        key("options", &Ty::Map(&OPTIONS), "limits of the whole run"),
        key("env", &ENV_TY, "environment of all steps"),
        key("secrets", &SECRETS, "the credentials that its stages may ask for; a step gets only those that it or its stage names"),
        required("stages", &Ty::List(&Ty::Map(&STAGE)), "what happens, in order; a stage needs the one before it unless it says `needs:`"),
        key("post", &POST_TY, "steps after the last stage, whatever its verdict, timed like a stage"),
        key("views", &WORDS, "tabs of the list of pipelines that show it"),
        key("labels", &Ty::Map(&LABELS), "what its verdicts say about the content that it reads: gates of promotions ask for them"),
        key(
            "umbrella",
            &Ty::Bool,
            "`true`: its runs only set off those of others, by their `upstream:`; the list shows how these ended, and no duration; default false",
        ),
        key("run_name", &Ty::Template, "title of each run, such as `sync ${params.releasever}`"),
        key("danger", &Ty::Level, "how a start must be confirmed; default L1, or the highest of its stages"),
        key("priority", &Ty::Int { min: -100, max: 100 }, "place in the queue: higher first; default 0"),
        key(
            "calendar",
            &SETS,
            "calendars (CONFIG/calendars/NAME.toml) that hold for every start: windows for the clock, freezes for people too",
        ),
        AGENT,
        key("inputs", &INPUTS_TY, "files that another run kept, for all stages: copied into the workspace before each stage's first step"),
        TEMPLATE,
        later("templates", "templates", "use `matrix:` or `env:` for what repeats"),
    ],
};

pub static TRIGGER: Context = Context {
    name: "trigger",
    noun: "a trigger",
    free: None,
    keys: &[
        key(
            "cron",
            &Ty::Cron,
            "wall-clock times: minute hour day month weekday; `~` is a number of the pipeline's own. A time that a clock change swallows \
             starts at the first valid minute, one that comes twice starts once",
        ),
        key("every", &DURATION, "a fixed interval counted from `anchor`; whole days keep the wall-clock time"),
        key("anchor", &Ty::Moment, "with `every`: a moment at which it fires, local time of `timezone`; default 1970-01-05 00:00"),
        key("upstream", &Ty::Name, "the pipeline whose end starts this one"),
        key("stage", &Ty::Line, "with `upstream`: the end of this stage, not of the whole run"),
        key(
            "on",
            &Ty::Word {
                words: &[
                    ("success", "only after a success (default)"),
                    ("failure", "only after what is no success"),
                    ("any", "after every end"),
                ],
                later: &[],
            },
            "with `upstream`: which end counts",
        ),
        key("manual", &Ty::Bool, "`true` says that people start it; a note for readers, since they always may"),
        key("timezone", &Ty::Zone, "zone of `cron` and `anchor`; default: the site's `time_zone`"),
        key(
            "jitter",
            &DURATION,
            "delay of up to this, the same for every start of this pipeline, so that pipelines do not all start at once",
        ),
        key(
            "catch_up",
            &Ty::Map(&CATCH_UP),
            "what happens to starts that were missed, mostly while no engine ran; default: skip. Others only below danger L2",
        ),
        key(
            "git",
            &Ty::Either(&Ty::Line, &GIT),
            "a repository that is looked at; it starts when the reference has moved. First sight starts nothing",
        ),
        key("ref", &Ty::Line, "with `git`: branch, tag or full name; default HEAD"),
        key("interval", &DURATION, "with `git`: time between two looks, at least 10s; default 5m"),
        key("calendar", &SETS, "calendars (CONFIG/calendars/NAME.toml) that must be open, beside the file's"),
        key(
            "shift",
            &Ty::Word {
                words: &[("next", "to the next day on which its calendars are open at that time of day, 31 days later at most")],
                later: &[],
            },
            "a start that falls into a closed time of its calendars is moved; without it, it is skipped",
        ),
        later("webhook", "webhooks", "let the sender call `quarterdeck run`"),
    ],
};

pub static GIT: Context = Context {
    name: "git",
    noun: "a repository to look at",
    free: None,
    keys: &[
        required("url", &Ty::Line, "https, http, ssh or git address, user@host:path, or an absolute path; no password in it"),
        key("ref", &Ty::Line, "branch, tag or full name; default HEAD"),
        key("interval", &DURATION, "time between two looks, at least 10s; default 5m"),
    ],
};

pub static CATCH_UP: Context = Context {
    name: "catch_up",
    noun: "a catch_up",
    free: None,
    keys: &[
        required(
            "policy",
            &Ty::Word {
                words: &[
                    ("skip", "missed starts are recorded, not made up"),
                    ("once", "one start for all missed ones"),
                    ("all", "one start for each, at most `max`"),
                ],
                later: &[],
            },
            "what happens to missed starts",
        ),
        key("within", &DURATION, "only starts missed for less than this; default 24h"),
        key("max", &Ty::Int { min: 1, max: 1_000 }, "with `all`: at most so many; default 10"),
    ],
};

pub static PARAMETERS: Context = Context {
    name: "parameters",
    noun: "the parameters",
    keys: &[],
    free: Some((&Ty::Variable, &Ty::Map(&PARAMETER), "a parameter of this name")),
};

pub static PARAMETER: Context = Context {
    name: "parameter",
    noun: "a parameter",
    free: None,
    keys: &[
        required(
            "type",
            &Ty::Word {
                words: &[
                    ("string", "text"),
                    ("bool", "true or false"),
                    ("int", "whole number"),
                    ("choice", "one of `choices`"),
                    ("run", "a run: NAME#N, `latest`, `latest-success` or `latest-failure`"),
                ],
                later: &[("secret", "secrets as parameters"), ("file", "files as parameters"), ("host", "hosts as parameters")],
            },
            "type of the value; it is checked before a run exists",
        ),
        key("description", &Ty::Text, "shown beside the field"),
        key("default", &Ty::Text, "value when none is given; without it one must be given"),
        key("choices", &Ty::List(&Ty::Text), "with `choice`: the values"),
        key("pattern", &Ty::Regex, "with `string`: what the whole value must match"),
        key("min", &Ty::Int { min: i64::MIN, max: i64::MAX }, "with `int`: smallest value; with `string`: fewest characters"),
        key("max", &Ty::Int { min: i64::MIN, max: i64::MAX }, "with `int`: largest value; with `string`: most characters"),
        key("of", &Ty::Name, "with `run`: the pipeline that it must be a run of"),
        key(
            "result",
            &Ty::Word { words: &[("success", "a success"), ("failure", "no success"), ("any", "any ended run (default)")], later: &[] },
            "with `run`: how it must have ended",
        ),
    ],
};

pub static OPTIONS: Context = Context {
    name: "options",
    noun: "the options",
    free: None,
    keys: &[
        key("concurrency", &Ty::Map(&CONCURRENCY), "how many runs of a group at a time"),
        key("timeout", &DURATION, "wall time of the whole run; default 24h"),
        key("keep", &Ty::Map(&KEEP), "retention: a run is kept while any rule keeps it; default 50 runs"),
        key("log", &Ty::Map(&LOG), "size of each step's log"),
        key("grace", &SPAN, "time between TERM and KILL on cancel or timeout; default 10s"),
        key("interpreter", &WORDS, "what reads `run:`, with its arguments; default `/bin/sh -eu`"),
    ],
};

pub static LABELS: Context = Context {
    name: "labels",
    noun: "the labels",
    free: None,
    keys: &[
        key(
            "canary",
            &SETS,
            "it is a canary of this kind: `image` and `rpm` are judged by a row of successes, `inspector` by its last one",
        ),
        key("formula", &SETS, "it is a required test of these formulas"),
        key("image", &SETS, "it makes these images of the content that it reads: they stand in the blast radius of a promotion"),
        key("iso", &SETS, "it makes these ISO of the content that it reads"),
    ],
};

pub static CONCURRENCY: Context = Context {
    name: "concurrency",
    noun: "a concurrency group",
    free: None,
    keys: &[
        required("group", &Ty::Name, "runs of all pipelines that name this group count together"),
        key("limit", &COUNT, "so many at a time; default 1"),
        key(
            "on_conflict",
            &Ty::Word {
                words: &[
                    ("queue", "it waits (default)"),
                    ("cancel-older", "the running one is cancelled"),
                    ("refuse", "the new one is refused"),
                ],
                later: &[],
            },
            "what happens when the group is full",
        ),
    ],
};

pub static KEEP: Context = Context {
    name: "keep",
    noun: "a retention",
    free: None,
    keys: &[
        key("runs", &Ty::Int { min: 1, max: 100_000 }, "the newest so many; default 50"),
        key("days", &Ty::Int { min: 1, max: 36_500 }, "all that ended in the last so many days"),
        key(
            "pin",
            &Ty::OneOrMore(&Ty::Word {
                words: &[
                    ("last-success", "the newest success"),
                    ("last-failure", "the newest failure"),
                    ("promoted", "every run that a `pin:` of a pipeline has named, also once somebody has unpinned it"),
                ],
                later: &[],
            }),
            "always kept; default last-success and last-failure",
        ),
    ],
};

pub static LOG: Context = Context {
    name: "log",
    noun: "a log limit",
    free: None,
    keys: &[
        key("max", &Ty::Size, "bytes kept of each step's log; default 100MiB, at least 64KiB"),
        key(
            "on_limit",
            &Ty::Word {
                words: &[("truncate-middle", "beginning and end are kept, the rest is counted (default)"), ("kill", "the step is ended")],
                later: &[],
            },
            "what happens beyond it",
        ),
        key(
            "errors",
            &Ty::Map(&ERRORS),
            "lines that are the first error of a red step wherever they stand, beside those that we know and those of [log] in the site file",
        ),
        key("harmless", &Ty::OneOrMore(&Ty::Search), "lines that are no error whatever they say"),
    ],
};

pub static ERRORS: Context = Context {
    name: "errors",
    noun: "a list of error lines",
    keys: &[],
    free: Some((&Ty::Name, &Ty::Search, "how such a line is called; the expression that it holds")),
};

pub static BUILD: Context = Context {
    name: "build",
    noun: "a run of another pipeline",
    free: None,
    keys: &[
        required("pipeline", &Ty::Name, "the pipeline; its file lies in the same directory"),
        key("parameters", &Ty::Map(&VALUES), "its parameters; those that are not named have their defaults"),
        key("wait", &Ty::Bool, "`false`: the stage succeeds once the run is queued, and its end changes nothing; default true"),
    ],
};

pub static VALUES: Context = Context {
    name: "values",
    noun: "values of parameters",
    keys: &[],
    free: Some((&Ty::Variable, &Ty::Template, "the value of this parameter")),
};

pub static ENV: Context = Context {
    name: "env",
    noun: "an environment",
    keys: &[],
    free: Some((&Ty::EnvName, &Ty::Template, "an environment variable of this name")),
};

pub static SECRET: Context = Context {
    name: "secret",
    noun: "a use of a secret",
    free: None,
    keys: &[
        required("name", &Ty::Name, "name in `[secrets]` of the site file"),
        key("env", &Ty::Bool, "also as an environment variable, upper case with `_`; default: only as a file in $QD_SECRETS_DIR"),
    ],
};

pub static ARTIFACT: Context = Context {
    name: "artifact",
    noun: "an artifact",
    free: None,
    keys: &[
        required("path", &Ty::Line, "files in the workspace; `*` and `**` are patterns"),
        key(
            "fingerprint",
            &Ty::Word { words: &[("sha256", "recorded of every artifact anyway")], later: &[] },
            "digest recorded with the run",
        ),
        key(
            "type",
            &Ty::Word {
                words: &[("file", "kept as it is (default)"), ("junit", "also read as a JUnit test report: counts, failures, flaky tests")],
                later: &[],
            },
            "what the file is",
        ),
        key(
            "failures",
            &Ty::Word {
                words: &[
                    ("fail", "the step fails, also where its exit code is 0 or its report cannot be read (default)"),
                    ("note", "they are recorded and shown, and change no verdict"),
                ],
                later: &[],
            },
            "with `junit`: what failed tests do to the step",
        ),
        key(
            "flaky_after",
            &Ty::Int { min: 2, max: 20 },
            "with `junit`: a test whose result changed so often within its newest 20 runs is flaky; default 3",
        ),
    ],
};

pub static INPUT: Context = Context {
    name: "input",
    noun: "an input",
    free: None,
    keys: &[
        required("from", &Ty::Line, "a parameter of type `run`, or `trigger`: the run that set this one off"),
        required("path", &Ty::Line, "artifacts of that run; `*` and `**` are patterns"),
        key("to", &Ty::Line, "directory in the workspace that they come to, under their own paths; default: the workspace itself"),
        key(
            "verify",
            &Ty::Word { words: &[("sha256", "every file is proved by its digest anyway")], later: &[] },
            "how a file is proved to be the one that was kept",
        ),
    ],
};

pub static LOCK: Context = Context {
    name: "lock",
    noun: "a lock",
    free: None,
    keys: &[
        required("name", &Ty::Name, "name of the lock, the same for all pipelines of the site"),
        key(
            "mode",
            &Ty::Word {
                words: &[("exclusive", "nobody else, whatever slots it has (default)"), ("shared", "others who also share it")],
                later: &[],
            },
            "who else may hold it",
        ),
        key("slots", &COUNT, "with `mode: shared`, the slots taken of those that `[locks.NAME] slots` of the site file gives; default 1"),
    ],
};

pub static RETRY: Context = Context {
    name: "retry",
    noun: "a retry",
    free: None,
    keys: &[
        required("attempts", &Ty::Int { min: 2, max: 100 }, "attempts in all, the first one included"),
        key("delay", &SPAN, "pause before the second attempt; default 0s"),
        key("backoff", &Ty::Number { min: 1.0, max: 100.0 }, "factor on the delay for each further attempt; default 1"),
        key("on", &Ty::OneOrMore(&Ty::RetryOn), "which ends are tried again; default: failure, timeout and stall"),
    ],
};

pub static MATRIX: Context = Context {
    name: "matrix",
    noun: "a matrix",
    free: Some((&Ty::MatrixKey, &Ty::List(&Ty::Text), "values of this key; each combination is a cell, and sees `matrix_KEY`")),
    keys: &[
        key("include", &Ty::List(&Ty::Map(&CELL)), "further cells, each a value for every key"),
        key("exclude", &Ty::List(&Ty::Map(&CELL)), "combinations left out: all cells with these values"),
        key("max_parallel", &COUNT, "cells at a time; default: as many as there are executors"),
        key("fail_fast", &Ty::Bool, "the first failure cancels the other cells; default false"),
    ],
};

pub static CELL: Context =
    Context { name: "cell", noun: "a matrix cell", keys: &[AGENT], free: Some((&Ty::MatrixKey, &Ty::Text, "value of this matrix key")) };

pub static STAGE: Context = Context {
    name: "stage",
    noun: "a stage",
    free: None,
    keys: &[
        required("name", &Ty::Line, "name, unique in the file; history and averages hang on it"),
        key("needs", &Ty::OneOrMore(&Ty::Line), "stages that must have ended first, instead of the one above; `[]` = none"),
        key(
            "when",
            &Ty::Expr,
            "condition; without `always`, `success`, `failure` or `fixed` in it every stage that led here must also have succeeded",
        ),
        key("matrix", &Ty::Map(&MATRIX), "the stage once for each combination of values"),
        key("steps", &Ty::List(&Ty::Map(&STEP)), "commands in order, in one workspace; the first that fails ends the cell"),
        key("run", &SCRIPT, "short form of a stage with a single step: its script"),
        key("uses", &Ty::Line, "short form of a stage with a single step: its step kind, such as mirror/sync"),
        key("with", &WITH, "with `uses`: its fields"),
        key("reads", &SETS, "content sets that it reads: they are fingerprinted before and after, and locked against writers"),
        key("writes", &SETS, "content sets that it writes: locked against readers and writers"),
        key("locks", &Ty::OneOrMore(&Ty::Either(&Ty::Name, &LOCK)), "taken all or nothing when its first cell starts, in name order"),
        key("allow_failure", &Ty::Bool, "a failure is shown, but the run goes on and may succeed; default false"),
        key("danger", &Ty::Level, "what it may do to the estate; default: the pipeline's"),
        key("idempotent", &Ty::Bool, "a second start does no harm; default false"),
        key(
            "on_lost",
            &Ty::Word {
                words: &[("stop", "an operator decides (default)"), ("retry", "start it again; only where `idempotent: true`")],
                later: &[],
            },
            "when nobody can know what became of a step",
        ),
        key("uninterruptible", &Ty::Bool, "cancel waits for its end; default false"),
        key("retry", &Ty::Map(&RETRY), "attempts of each step; each keeps its own log"),
        key("timeout", &DURATION, "wall time of the stage from the start of its first cell"),
        key("stall", &DURATION, "no output and no progress for so long ends a step"),
        key("grace", &SPAN, "time between TERM and KILL; default: the options'"),
        key("env", &ENV_TY, "environment of its steps, over the file's"),
        key("secrets", &SECRETS, "credentials of its steps"),
        key("artifacts", &ARTIFACTS, "files kept with the run; with `steps:`, of the last one"),
        key("interpreter", &WORDS, "what reads `run:`; default: the options'"),
        key("daemon", &DAEMON, "whether processes may outlive its steps"),
        key("post", &POST_TY, "steps after its last cell, whatever its verdict"),
        key("approve", &Ty::Map(&APPROVE), "instead of steps: the run waits here until people have agreed; holds no executor and no lock"),
        AGENT,
        TEMPLATE,
        INPUTS,
        key(
            "build",
            &Ty::Either(&Ty::Name, &BUILD),
            "instead of steps: a run of another pipeline; its verdict is the stage's, its danger too. It holds no executor while it waits",
        ),
    ],
};

pub static APPROVE: Context = Context {
    name: "approve",
    noun: "an approval",
    free: None,
    keys: &[
        required("roles", &Ty::OneOrMore(&Ty::Name), "who may approve or deny: any of these roles of the site file; `admin` always may"),
        key("quorum", &Ty::Int { min: 1, max: 20 }, "so many different people must approve; default 1"),
        key(
            "not",
            &Ty::Word { words: &[("requester", "not who asked for the run: four eyes")], later: &[] },
            "who may not, whatever the roles say",
        ),
        key("expires", &DURATION, "it fails when too few have approved by then; default 24h. The run's own timeout goes on counting"),
        key("show", &Ty::OneOrMore(&Ty::Line), "what to look at first: stages above, or patterns of artifacts such as `artifacts/*.diff`"),
        key("ask", &Ty::Map(&QUESTIONS), "what an approver must answer; later stages see `approve_NAME` and `${approve.NAME}`"),
    ],
};

pub static QUESTIONS: Context = Context {
    name: "questions",
    noun: "the questions",
    keys: &[],
    free: Some((&Ty::Variable, &Ty::Map(&PARAMETER), "a question of this name, typed like a parameter")),
};

pub static STEP: Context = Context {
    name: "step",
    noun: "a step",
    free: None,
    keys: &[
        required("name", &Ty::Line, "name, unique in its stage"),
        key("run", &SCRIPT, "script; parameters, matrix keys and env are variables in it, nothing is interpolated"),
        key("uses", &Ty::Line, "step kind instead of a script, such as mirror/sync"),
        key("with", &WITH, "with `uses`: its fields"),
        key("env", &ENV_TY, "environment, over the stage's"),
        key("secrets", &SECRETS, "credentials, beside the stage's"),
        key("artifacts", &ARTIFACTS, "files kept with the run"),
        key("timeout", &DURATION, "wall time of each attempt; default 24h"),
        key("stall", &DURATION, "no output and no progress for so long ends it; default: the stage's"),
        key("grace", &SPAN, "time between TERM and KILL; default: the stage's"),
        key("interpreter", &WORDS, "what reads `run:`; default: the stage's"),
        key("daemon", &DAEMON, "whether processes may outlive it"),
        AGENT,
        TEMPLATE,
    ],
};

pub static POST: Context = Context {
    name: "post",
    noun: "a post section",
    free: None,
    keys: &[
        key("success", &POST_STEPS, "after a success"),
        key("failure", &POST_STEPS, "after a failed, lost or invalid run; not after a cancel"),
        key("fixed", &POST_STEPS, "after a success that follows a run that was none"),
        key("always", &POST_STEPS, "after every end, behind the others"),
    ],
};

pub static POST_STEP: Context = Context {
    name: "post_step",
    noun: "a post step",
    free: None,
    keys: &[
        key("name", &Ty::Line, "name; default: the step kind or the beginning of the script"),
        key("run", &SCRIPT, "script"),
        key("uses", &Ty::Line, "step kind instead of a script"),
        key("with", &WITH, "with `uses`: its fields; with `notify`: what is told"),
        key("env", &ENV_TY, "environment"),
        key("secrets", &SECRETS, "credentials"),
        key("artifacts", &ARTIFACTS, "files kept with the run"),
        key("timeout", &DURATION, "wall time; default 5m"),
        key("grace", &SPAN, "time between TERM and KILL"),
        key("interpreter", &WORDS, "what reads `run:`"),
        NOTIFY,
        key(
            "pin",
            &Ty::Template,
            "instead of a script: a run that retention keeps until somebody unpins it, such as ${params.candidate} or ${run.id}",
        ),
    ],
};

pub static FIELDS: Context = Context {
    name: "with",
    noun: "the fields of a step kind",
    keys: &[],
    free: Some((&Ty::Line, &Ty::Any, "a field of the step kind; `explain KIND` lists them")),
};
