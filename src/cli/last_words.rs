//! What a person sees where this program is at fault, or where the machine gives it no thread: what it was and what to do, never a bare panic.

use std::panic::PanicHookInfo;

use super::args::Color;
use super::failure::Failure;
use super::out::Out;
use crate::api::{ApiError, Code};

/// Exit code of a program that found a fault in itself, as Rust's own.
const FAULT: u8 = 101;
/// `EAGAIN` of a thread that could not be started, as the standard library words it.
const NO_THREAD: &str = "Resource temporarily unavailable";

/// From now on a panic is told in these words. It ends the process where it is in the main thread, or where there are no threads to be had: whoever
/// waits for one would wait for ever. (An engine has a hook of its own, as soon as it has a log.)
pub fn install(json: bool) {
    std::panic::set_hook(Box::new(move |info| {
        let failure = failure(&message(info), &info.location().map_or_else(|| "?".to_owned(), ToString::to_string));
        let ends = failure.exit != FAULT || std::thread::current().name() == Some("main");
        Out::new(json && ends, Color::Auto).failure(&failure);
        if ends {
            std::process::exit(i32::from(failure.exit));
        }
    }));
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
    Failure { exit: FAULT, error, told: false }
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
}
