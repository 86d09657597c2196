//! Threads that help the queries under measurement.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam::channel::{Sender, bounded};
use query::crew::{Crew, Task};

/// So many threads beside the query's own.
#[derive(Debug)]
pub(crate) struct Threads {
    tasks: Sender<Task>,
    free: Arc<AtomicUsize>,
    helpers: usize,
}

impl Threads {
    pub(crate) fn new(helpers: usize) -> Threads {
        let (tasks, waiting) = bounded::<Task>(helpers);
        let free = Arc::new(AtomicUsize::new(helpers));
        for _ in 0..helpers {
            let (waiting, free) = (waiting.clone(), Arc::clone(&free));
            std::thread::spawn(move || {
                for task in waiting {
                    task();
                    free.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Threads { tasks, free, helpers }
    }
}

impl Crew for Threads {
    fn width(&self) -> usize {
        self.helpers + 1
    }

    fn offer(&self, task: Task) -> Result<(), Task> {
        let take = |free: usize| free.checked_sub(1);
        if self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            return Err(task);
        }
        self.tasks.try_send(task).map_err(|error| error.into_inner())
    }
}
