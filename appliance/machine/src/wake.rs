//! Wake-up: ends another thread's wait, at most once per wait.
//!
//! A message queued before `wake` is seen by the turn after it: the flag falls before the queues
//! are read, and rises after they are written.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, write};

/// Wakes one reactor; cheap to clone, may be sent to other threads.
#[derive(Clone, Debug)]
pub struct Waker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    event: OwnedFd,
    pending: AtomicBool,
}

impl Waker {
    /// A waker with an eventfd of its own; `nonblocking` for a reactor that reads it itself.
    ///
    /// # Errors
    /// The kernel's, when no descriptor is left.
    pub fn new(nonblocking: bool) -> Result<Waker, Errno> {
        let flags = if nonblocking { EventfdFlags::NONBLOCK } else { EventfdFlags::empty() };
        let event = eventfd(0, flags | EventfdFlags::CLOEXEC)?;
        Ok(Waker { shared: Arc::new(Shared { event, pending: AtomicBool::new(false) }) })
    }

    /// Ends the wait of the reactor. What was queued before is seen by its next turn.
    pub fn wake(&self) {
        if !self.shared.pending.swap(true, Ordering::SeqCst) {
            // Fails only when the counter is at its end, and then the reactor is awake anyway.
            let _ = write(&self.shared.event, &1_u64.to_ne_bytes());
        }
    }

    /// Lets the next `wake` through; the reactor calls this before it reads its queues.
    pub(crate) fn reset(&self) {
        self.shared.pending.store(false, Ordering::SeqCst);
    }

    pub(crate) fn event(&self) -> BorrowedFd<'_> {
        self.shared.event.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_falls_before_the_queues_are_read() {
        let waker = Waker::new(true).unwrap();
        let mut bytes = [0; 8];
        waker.wake();
        waker.wake();
        assert_eq!(rustix::io::read(waker.event(), &mut bytes), Ok(8));
        assert_eq!(u64::from_ne_bytes(bytes), 1, "two wakes, one write");
        waker.reset();
        assert!(!waker.shared.pending.load(Ordering::SeqCst), "reset lets the next through");
        waker.wake();
        assert_eq!(rustix::io::read(waker.event(), &mut bytes), Ok(8));
    }
}
