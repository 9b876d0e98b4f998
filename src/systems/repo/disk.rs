//! Directories whose file system may hang, such as one of a dead NFS server: each question is asked by a thread of its own, and waited for so
//! long and no longer. A thread that hangs cannot be ended; who has asked can see that it still does.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::RepoError;

/// For one question: a disk that is slow answers all the same, if only with a few megabytes.
const HANGS: Duration = Duration::from_secs(20);

/// Those who ask one directory in one look. Its mark lives as long as a question of it has not come back.
#[derive(Debug, Clone, Default)]
pub struct Asking(Arc<()>);

impl Asking {
    /// Dead once every question has come back and nobody asks any more.
    pub fn mark(&self) -> Weak<()> {
        Arc::downgrade(&self.0)
    }
}

/// Does `work` on a thread of its own. `at`: what it asks, for people.
pub async fn asked<T: Send + 'static>(at: &str, by: &Asking, work: impl FnOnce() -> T + Send + 'static) -> Result<T, RepoError> {
    within(HANGS, at, by, work).await
}

async fn within<T: Send + 'static>(
    limit: Duration,
    at: &str,
    by: &Asking,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RepoError> {
    let held = by.clone();
    let work = tokio::task::spawn_blocking(move || {
        let _held = held;
        work()
    });
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(made)) => Ok(made),
        Ok(Err(e)) => Err(RepoError::Address(format!("{at}: the reader ended: {e}"))),
        Err(_) => Err(RepoError::Hangs { at: at.to_owned(), after: limit }),
    }
}

/// The same for who may block, for so long at most.
pub fn waited<T: Send + 'static>(
    limit: Duration,
    at: &str,
    by: &Asking,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, RepoError> {
    let (told, answer) = std::sync::mpsc::channel();
    let held = by.clone();
    let work = move || {
        let _held = held;
        let _ = told.send(work());
    };
    let started = std::thread::Builder::new().name("disk".into()).spawn(work);
    started.map_err(|e| RepoError::Address(format!("{at}: no reader can be started: {e}")))?;
    answer.recv_timeout(limit).map_err(|_| RepoError::Hangs { at: at.to_owned(), after: limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_question_that_does_not_come_back_is_given_up_and_is_known_to_be_under_way() {
        let (go, held) = std::sync::mpsc::channel::<()>();
        let (told, ended) = std::sync::mpsc::channel::<()>();
        let by = Asking::default();
        let work = move || {
            let _told_at_the_end = told;
            held.recv().is_ok()
        };
        let e = within(Duration::from_millis(1), "/srv/dead", &by, work).await.unwrap_err();
        assert_eq!(e.to_string(), "/srv/dead: its file system hangs: no answer within 0 s");
        let mark = by.mark();
        drop(by);
        assert!(mark.upgrade().is_some(), "its thread still waits");
        drop(go);
        assert!(ended.recv().is_err());
        // The thread drops the mark behind what it did; nothing else holds it.
        while mark.strong_count() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(within(Duration::from_secs(60), "/srv/well", &Asking::default(), || 7).await.is_ok_and(|n| n == 7));
    }
}
