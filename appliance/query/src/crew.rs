//! Crew: the threads that the queries of a process share, as one query sees them.
//!
//! Path: `evaluate` → **crew** → the server's query threads; batches come back by channel.
//! Never: decides what a query answers: batches are cut, and joined in order, by the query alone.

use std::fmt::Debug;

/// A batch of work that owns all it needs.
pub type Task = Box<dyn FnOnce() + Send>;

/// Threads that may help a query.
pub trait Crew: Debug + Send + Sync {
    /// Threads that may work for one query at once, its own included; 1 where it is alone.
    fn width(&self) -> usize;

    /// Gives `task` to a thread that is free. It must run or be dropped without waiting for
    /// another task.
    ///
    /// # Errors
    /// The task, where no thread is free: the query does it itself.
    fn offer(&self, task: Task) -> Result<(), Task>;
}

/// No crew: a query works alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Crew for Alone {
    fn width(&self) -> usize {
        1
    }

    fn offer(&self, task: Task) -> Result<(), Task> {
        Err(task)
    }
}
