//! What a person sees where this program is at fault, or where the machine gives it no thread: what it was and what to do, never a bare panic.

use std::panic::{AssertUnwindSafe, PanicHookInfo};
use std::process::ExitCode;

use super::args::Color;
use super::failure::Failure;
use super::out::Out;
use crate::api::{ApiError, Code};

/// Exit code of a program that found a fault in itself, as Rust's own.
const FAULT: u8 = 101;
/// `EAGAIN` of a thread that could not be started, as the standard library words it.
const NO_THREAD: &str = "Resource temporarily unavailable";

/// Runs the program. A panic is told in these words, and ends it where it is not caught on its way (a task of the runtime may be); where there
/// are no threads to be had it ends at once, for whoever waits for one would wait for ever. (An engine has a hook of its own, as soon as it has
/// a log.)
pub fn with(json: bool, program: impl FnOnce() -> ExitCode) -> ExitCode {
    std::panic::set_hook(Box::new(move |info| {
        let failure = failure(&message(info), &info.location().map_or_else(|| "?".to_owned(), ToString::to_string));
        let ends = failure.exit != FAULT;
        Out::new(json && ends, Color::Auto).failure(&failure);
        if ends {
            std::process::exit(i32::from(failure.exit));
        }
    }));
    // Nothing of the program is used behind its end.
    std::panic::catch_unwind(AssertUnwindSafe(program)).unwrap_or_else(|_| {
        if json {
            let failure = ApiError::failed("internal error", "what it was stands on standard error: please report it");
            Out::new(true, Color::Auto).failure(&Failure { exit: FAULT, ..failure.into() });
        }
        ExitCode::from(FAULT)
    })
}

/// The machine gives this user nothing more to run on.
pub fn no_threads() -> Failure {
    let help = "end some processes, or raise `ulimit -u` (TasksMax of a unit), and try again";
    ApiError::new(Code::NoEngine, "this user may start no more threads or processes now", help).into()
}

fn message(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("(no message)").to_owned()
}

fn failure(message: &str, place: &str) -> Failure {
    if message.contains(NO_THREAD) {
        return no_threads();
    }
    let error = ApiError::failed(
        format!("internal error at {place}: {message}"),
        "this is a fault of quarterdeck: please report it with what you did. Runs and their engine go on",
    );
    Failure { exit: FAULT, ..error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_threads_is_told_from_a_fault_of_ours() {
        let full = failure(
            "failed to spawn thread: Os { code: 11, kind: WouldBlock, message: \"Resource temporarily unavailable\" }",
            "library/std/src/thread/functions.rs:131:29",
        );
        assert!(full.exit == 3 && full.error.help.contains("ulimit -u") && !full.error.message.contains("functions.rs"));
        let fault = failure("index out of bounds", "src/a.rs:1:2");
        assert!(fault.exit == FAULT && fault.error.message == "internal error at src/a.rs:1:2: index out of bounds");
    }

    /// The hook is the whole process's, so a child of this test program panics in our place.
    #[test]
    fn a_fault_ends_the_program_with_words_and_one_value() {
        const VARIABLE: &str = "QD_TEST_FAULT";
        if std::env::var_os(VARIABLE).is_some() {
            let code = with(true, || {
                let caught = std::thread::spawn(|| panic!("a task")).join();
                assert!(caught.is_err());
                panic!("it broke")
            });
            std::process::exit(if code == ExitCode::from(FAULT) { i32::from(FAULT) } else { 1 });
        }
        let name = "cli::last_words::tests::a_fault_ends_the_program_with_words_and_one_value";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let out = child.args(["--exact", name, "--nocapture"]).env(VARIABLE, "1").output().unwrap();
        let (said, told) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        assert_eq!(out.status.code(), Some(i32::from(FAULT)), "{out:?}");
        assert!(
            told.contains("internal error at src/cli/last_words.rs") && told.contains("it broke") && !told.contains("RUST_BACKTRACE"),
            "{told}"
        );
        let values: Vec<&str> = said.lines().filter(|l| l.starts_with('{')).collect();
        assert!(values.len() == 1 && values[0].contains("internal error"), "{said}");
    }
}
