//! Work that reads disks and far ends and computes between: on a thread and a runtime of its own, so that the engine's one thread goes on serving.

use std::future::Future;

use tokio_util::sync::CancellationToken;

/// Runs what `work` makes to its end; who drops this ends it where it next waits. None: it was ended, or the machine has no thread or
/// descriptor left for it.
pub async fn aside<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Option<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let dropped = CancellationToken::new();
    let _guard = dropped.clone().drop_guard();
    let run = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.inspect_err(|e| tracing::warn!("a reader cannot be started: {e}")).ok()?;
        let done = runtime.block_on(dropped.run_until_cancelled(work()));
        // A directory or a name server that hangs is waited for by nobody.
        runtime.shutdown_background();
        done
    };
    tokio::task::spawn_blocking(run).await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn the_thread_that_serves_goes_on_while_the_work_holds_its_own() {
        let (go, held) = mpsc::channel();
        let work = aside(move || async move { held.recv().is_ok() });
        // Both are polled by this one thread: the second can only be reached while the first blocks another.
        let serve = async { go.send(()).is_ok() };
        assert_eq!(tokio::join!(work, serve), (Some(true), true));
    }

    #[tokio::test]
    async fn who_is_not_waited_for_any_more_ends() {
        let (end, ended) = mpsc::channel::<()>();
        let work = aside(move || async move {
            let _told_when_dropped = end;
            std::future::pending::<()>().await;
        });
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), work).await.is_err());
        let gone = tokio::task::spawn_blocking(move || ended.recv().is_err()).await;
        assert!(gone.unwrap());
    }
}
