//! Threads for rendering, as many as there are cores.
//!
//! Rendering is CPU work of milliseconds to a second: on the runtime's workers it would hold up webhooks, on
//! `spawn_blocking` hundreds of renders would fight for two cores. Jobs wait in one bounded line instead. A panic in a
//! job is an error of that job alone.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use tokio::sync::oneshot;

/// Stack of a render thread: deep templates recurse, and the engine's depth limits are counted against this size.
const STACK_BYTES: usize = 64 * 1024 * 1024;

/// How many renders may wait in line per thread before callers wait to hand theirs in.
const LINE_PER_THREAD: usize = 64;

type Task = Box<dyn FnOnce() + Send>;

/// The render threads. Clones share them; they end when the last clone is dropped.
#[derive(Clone)]
pub struct RenderPool {
    line: Arc<Mutex<Option<mpsc::SyncSender<Task>>>>,
    width: usize,
    admission: Arc<tokio::sync::Semaphore>,
}

/// Why a render gave no answer of its own.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The job panicked; the text is the panic's.
    #[error("rendering stopped at an internal error: {0}")]
    Panicked(String),
    /// The pool has been shut down.
    #[error("rendering stopped because the agent is shutting down")]
    Closed,
}

impl RenderPool {
    /// Starts one thread per core.
    pub fn new() -> std::io::Result<Self> {
        Self::with_width(thread::available_parallelism().map_or(2, usize::from))
    }

    /// Starts `width` threads (at least one).
    pub fn with_width(width: usize) -> std::io::Result<Self> {
        let width = width.max(1);
        let capacity = width * LINE_PER_THREAD;
        let (sender, receiver) = mpsc::sync_channel::<Task>(capacity);
        let receiver = Arc::new(Mutex::new(receiver));
        for number in 0..width {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().name(format!("render-{number}")).stack_size(STACK_BYTES).spawn(
                move || {
                    loop {
                        let task = match receiver.lock() {
                            Ok(line) => line.recv(),
                            Err(_) => return,
                        };
                        match task {
                            Ok(task) => task(),
                            Err(mpsc::RecvError) => return,
                        }
                    }
                },
            )?;
        }
        Ok(Self {
            line: Arc::new(Mutex::new(Some(sender))),
            width,
            admission: Arc::new(tokio::sync::Semaphore::new(capacity)),
        })
    }

    /// How many renders run at once.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Runs `work` on a render thread and waits for its answer.
    pub async fn run<T, F>(&self, work: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let permit = Arc::clone(&self.admission).acquire_owned().await.map_err(|_| PoolError::Closed)?;
        let (answer, wait) = oneshot::channel();
        let task: Task = Box::new(move || {
            let outcome = catch_unwind(AssertUnwindSafe(work));
            drop(permit);
            // Nobody waits any more when the caller was cancelled; the result is then of no use.
            answer.send(outcome).ok();
        });
        {
            let line = self.line.lock().map_err(|_| PoolError::Closed)?;
            let sender = line.as_ref().ok_or(PoolError::Closed)?;
            // The permit guarantees a free place, so this does not block.
            sender.send(task).map_err(|_| PoolError::Closed)?;
        }
        match wait.await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => Err(PoolError::Panicked(panic_text(panic.as_ref()))),
            Err(_) => Err(PoolError::Closed),
        }
    }
}

impl std::fmt::Debug for RenderPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RenderPool(width {})", self.width)
    }
}

/// The text a panic carried, if it carried one.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_render_fails_alone() {
        let pool = RenderPool::with_width(1).unwrap();
        let failed = pool.run(|| -> u32 { panic!("template engine bug") }).await;
        assert!(matches!(failed, Err(PoolError::Panicked(text)) if text == "template engine bug"));
        assert_eq!(pool.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn more_renders_than_places_all_finish() {
        let pool = RenderPool::with_width(2).unwrap();
        let renders = (0..1000u64).map(|n| {
            let pool = pool.clone();
            async move { pool.run(move || n * 2).await.unwrap() }
        });
        let sum: u64 = futures::future::join_all(renders).await.into_iter().sum();
        assert_eq!(sum, 999_000);
    }
}
