//! Query pool: the threads that evaluate, the queue before them, and those that help.
//!
//! A query runs on a thread of its own. Where fewer queries run than there are processors, helpers
//! take batches of series from them, as they ask: a batch is short, so no query keeps a helper
//! from the others for long.
//!
//! Never: lets a query wait without a bound, or in more memory than its request; lets more threads
//! help than processors are free.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use api::backend::{Job, Turn};
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};
use machine::plan::bind;
use query::crew::{Crew, Task};

/// Queries that may wait, a thread: at a tenth of a second a query the last waits five seconds,
/// less than any panel's patience.
const WAITING_A_THREAD: usize = 50;

/// Bytes of a query thread's stack: expressions recurse to the parser's depth.
const STACK_BYTES: usize = 8 << 20;

/// Shards come first where they share processors: scrapes are punctual, queries take what is left.
const NICE: i32 = 5;

/// How long a helper without work keeps what it has read for the query that it last helped: the
/// next batch of that query comes within milliseconds.
const KEEP: Duration = Duration::from_millis(100);

/// The threads and their queue.
#[derive(Debug)]
pub struct QueryPool {
    jobs: Sender<Job>,
    threads: Vec<JoinHandle<()>>,
    hands: Arc<Hands>,
}

/// The threads that help.
#[derive(Debug)]
pub struct Hands {
    tasks: Sender<Task>,
    /// Queries that run, and tasks of others.
    busy: Arc<AtomicUsize>,
    /// Processors that queries may use.
    processors: usize,
}

impl QueryPool {
    /// `concurrency` threads on the processors `cpus`; anywhere when there are none. Each calls
    /// `tidy_up` after a job, to give back what it kept for that query.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(concurrency: usize, cpus: &[usize], tidy_up: fn()) -> std::io::Result<QueryPool> {
        let hands = Arc::new(Hands::new(cpus, tidy_up)?);
        let (jobs, waiting) = bounded::<Job>(concurrency.saturating_mul(WAITING_A_THREAD));
        let mut threads = Vec::with_capacity(concurrency);
        for number in 0..concurrency {
            let waiting = waiting.clone();
            let (cpus, busy) = (cpus.to_vec(), Arc::clone(&hands.busy));
            let builder = std::thread::Builder::new();
            let builder = builder.name(format!("query-{number}")).stack_size(STACK_BYTES);
            threads.push(builder.spawn(move || {
                settle(&cpus);
                for job in waiting {
                    busy.fetch_add(1, Ordering::Relaxed);
                    job(Turn::Run);
                    busy.fetch_sub(1, Ordering::Relaxed);
                    tidy_up();
                }
            })?);
        }
        Ok(QueryPool { jobs, threads, hands })
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

    /// The threads that help.
    #[must_use]
    pub fn crew(&self) -> Arc<dyn Crew> {
        Arc::clone(&self.hands) as Arc<dyn Crew>
    }
}

impl Hands {
    /// One helper fewer than there are processors in `cpus`; none where those are not known.
    fn new(cpus: &[usize], tidy_up: fn()) -> std::io::Result<Hands> {
        let processors = cpus.len().max(1);
        let (tasks, waiting) = bounded::<Task>(processors - 1);
        let busy = Arc::new(AtomicUsize::new(0));
        for number in 1..processors {
            let (waiting, cpus, busy) = (waiting.clone(), cpus.to_vec(), Arc::clone(&busy));
            let builder = std::thread::Builder::new().name(format!("query-helper-{number}"));
            builder.spawn(move || {
                settle(&cpus);
                help(&waiting, &busy, tidy_up);
            })?;
        }
        Ok(Hands { tasks, busy, processors })
    }
}

/// Binds this thread to the processors and lowers its priority. One that cannot be bound runs
/// anywhere: slower, not wrong.
fn settle(cpus: &[usize]) {
    let _ = bind(cpus);
    let _ = rustix::process::setpriority_process(None, NICE);
}

/// Does tasks until the pool is gone.
fn help(waiting: &Receiver<Task>, busy: &AtomicUsize, tidy_up: fn()) {
    let mut is_tidy = true;
    loop {
        let task = if is_tidy {
            waiting.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            waiting.recv_timeout(KEEP)
        };
        match task {
            Ok(task) => {
                task();
                busy.fetch_sub(1, Ordering::Relaxed);
                is_tidy = false;
            }
            Err(RecvTimeoutError::Timeout) => {
                tidy_up();
                is_tidy = true;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

impl Crew for Hands {
    fn width(&self) -> usize {
        self.processors
    }

    fn offer(&self, task: Task) -> Result<(), Task> {
        let one_more = |busy: usize| (busy < self.processors).then_some(busy + 1);
        let taken = self.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more);
        if taken.is_err() {
            return Err(task);
        }
        self.tasks.try_send(task).map_err(|error| {
            self.busy.fetch_sub(1, Ordering::Relaxed);
            error.into_inner()
        })
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

    #[test]
    fn hands_take_what_free_processors_can_do() {
        let hands = Hands::new(&[0, 1, 2], || {}).expect("threads");
        let crew: &dyn Crew = &hands;
        assert_eq!(crew.width(), 3);
        let (hold, held) = bounded::<()>(0);
        let (started, start) = bounded::<()>(2);
        let task = || -> Task {
            let (held, started) = (held.clone(), started.clone());
            Box::new(move || {
                started.send(()).expect("the test waits");
                held.recv().expect("the test lets go");
            })
        };
        // A query runs, and two processors are free.
        hands.busy.fetch_add(1, Ordering::Relaxed);
        assert!(crew.offer(task()).is_ok() && crew.offer(task()).is_ok());
        assert!(crew.offer(task()).is_err());
        for _ in 0..2 {
            start.recv().expect("a task runs");
        }
        assert!(crew.offer(task()).is_err());
        for _ in 0..2 {
            hold.send(()).expect("a task waits");
        }
        let (done, finished) = bounded::<()>(1);
        let mut last: Task = Box::new(move || done.send(()).expect("the test waits"));
        while let Err(task) = crew.offer(last) {
            last = task;
            std::thread::yield_now();
        }
        assert_eq!(finished.recv(), Ok(()));
    }

    #[test]
    fn one_processor_has_no_hands() {
        let hands = Hands::new(&[0], || {}).expect("no thread");
        assert_eq!(hands.width(), 1);
        assert!(hands.offer(Box::new(|| {})).is_err());
    }
}
