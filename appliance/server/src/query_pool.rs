//! Query pool: the threads that evaluate, and the queue before them.
//!
//! Never: lets a query wait without a bound, or in more memory than its request.

use std::thread::JoinHandle;

use api::backend::{Job, Turn};
use crossbeam::channel::{Sender, TrySendError, bounded};
use machine::plan::bind;

/// Queries that may wait, a thread: at a tenth of a second a query the last waits five seconds,
/// less than any panel's patience.
const WAITING_A_THREAD: usize = 50;

/// Bytes of a query thread's stack: expressions recurse to the parser's depth.
const STACK_BYTES: usize = 8 << 20;

/// The threads and their queue.
#[derive(Debug)]
pub struct QueryPool {
    jobs: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
}

impl QueryPool {
    /// `concurrency` threads on the processors `cpus`; anywhere when there are none. Each calls
    /// `tidy_up` after a job, to give back what it kept for that query.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(concurrency: usize, cpus: &[usize], tidy_up: fn()) -> std::io::Result<QueryPool> {
        let (jobs, waiting) = bounded::<Job>(concurrency.saturating_mul(WAITING_A_THREAD));
        let mut threads = Vec::with_capacity(concurrency);
        for number in 0..concurrency {
            let waiting = waiting.clone();
            let cpus = cpus.to_vec();
            let builder = std::thread::Builder::new();
            let builder = builder.name(format!("query-{number}")).stack_size(STACK_BYTES);
            threads.push(builder.spawn(move || {
                // A thread that cannot be bound runs anywhere: slower, not wrong.
                let _ = bind(&cpus);
                for job in waiting {
                    job(Turn::Run);
                    tidy_up();
                }
            })?);
        }
        Ok(QueryPool { jobs, threads })
    }

    /// Queues `job`; gives it back when as many wait as may.
    ///
    /// # Errors
    /// The job.
    pub fn run(&self, job: Job) -> Result<(), Job> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(job) | TrySendError::Disconnected(job) => job,
        })
    }

    /// Queries that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// Threads.
    #[must_use]
    pub fn concurrency(&self) -> usize {
        self.threads.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_beyond_the_bound_are_given_back() {
        let pool = QueryPool::new(1, &[], || {}).expect("a thread");
        let (hold, held) = bounded::<()>(0);
        let (started, start) = bounded::<()>(0);
        let first: Job = Box::new(move |_| {
            started.send(()).expect("the test waits");
            held.recv().expect("the test lets go");
        });
        assert!(pool.run(first).is_ok());
        start.recv().expect("the first job runs");
        for _ in 0..WAITING_A_THREAD {
            assert!(pool.run(Box::new(|_| {})).is_ok());
        }
        assert_eq!(pool.waiting(), WAITING_A_THREAD);
        assert!(pool.run(Box::new(|_| {})).is_err());
        hold.send(()).expect("the job waits");
        let (done, finished) = bounded::<Turn>(1);
        let mut last: Job = Box::new(move |turn| done.send(turn).expect("the test waits"));
        while let Err(job) = pool.run(last) {
            last = job;
            std::thread::yield_now();
        }
        assert_eq!(finished.recv(), Ok(Turn::Run));
    }
}
