//! A task that does not wake itself.
//!
//! Over HTTP/1.1 one task asks a backend, moves the connection to it along and passes the answer on. hyper has channels between these,
//! as if they were several tasks, and each message through one wakes the task that is at work on it already. It would be polled
//! four times for each request, where two would do: once its client has asked, and once the backend has answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
};

use atomic_waker::AtomicWaker;

/// Stands between one future and the task that polls it, and does not hear what happens while it is [deaf](Self::deaf_to).
pub(super) struct Ears {
    shared: Arc<Shared>,
    /// Made once: one for each poll would cost as much as it saves.
    waker: Waker,
}

#[derive(Default)]
struct Shared {
    deaf: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Shared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.deaf.load(Ordering::Acquire) {
            self.task.wake();
        }
    }
}

impl Default for Ears {
    fn default() -> Self {
        let shared = Arc::<Shared>::default();
        Self { waker: Waker::from(Arc::clone(&shared)), shared }
    }
}

impl Ears {
    /// Polls the future that these are of, for the task of `cx`.
    pub(super) fn poll<T>(&self, cx: &Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.shared.task.register(cx.waker());
        poll(&mut Context::from_waker(&self.waker))
    }

    /// Does what may wake the future that these are of. Whoever calls this polls that future right afterwards, or nobody waits
    /// for it. It is for what is done on the task's own thread: what another does meanwhile is not heard either.
    pub(super) fn deaf_to<T>(&self, act: impl FnOnce() -> T) -> T {
        self.shared.deaf.store(true, Ordering::Release);
        let done = act();
        self.shared.deaf.store(false, Ordering::Release);
        done
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, sync::atomic::AtomicUsize, task::Poll};

    use tokio::sync::oneshot;

    use super::*;

    /// A task that counts how often it is woken.
    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn only_what_comes_from_elsewhere_wakes_the_task() {
        let task = Arc::<Task>::default();
        let waker = Waker::from(Arc::clone(&task));
        let cx = Context::from_waker(&waker);
        let (ears, (sender, mut answer)) = (Ears::default(), oneshot::channel());
        let mut poll = |ears: &Ears| ears.poll(&cx, |cx| std::pin::Pin::new(&mut answer).poll(cx));
        assert!(poll(&ears).is_pending());
        ears.deaf_to(|| sender.send(1)).unwrap();
        assert_eq!(task.0.load(Ordering::SeqCst), 0);
        assert_eq!(poll(&ears), Poll::Ready(Ok(1)));

        let (sender, mut answer) = oneshot::channel();
        assert!(ears.poll(&cx, |cx| std::pin::Pin::new(&mut answer).poll(cx)).is_pending());
        sender.send(2).unwrap();
        assert_eq!(task.0.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn the_task_that_polls_last_is_the_one_that_is_woken() {
        let ears = Arc::new(Ears::default());
        let (sender, answer) = oneshot::channel();
        let mut answer = Box::pin(answer);
        // Somebody else has looked and gone.
        assert!(ears.poll(&Context::from_waker(Waker::noop()), |cx| answer.as_mut().poll(cx)).is_pending());
        let told = async { sender.send(()).unwrap() };
        let (heard, ()) = tokio::join!(poll_fn(|cx| ears.poll(cx, |cx| answer.as_mut().poll(cx))), told);
        heard.unwrap();
    }
}
