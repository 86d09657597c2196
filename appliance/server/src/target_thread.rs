//! Target thread: runs discovery, makes targets of what it finds, gives them to the shards.
//!
//! Path: `boot` → **target_thread** → `targets` → the machine's handle → shards.
//! Owns: a small tokio runtime of its own: reading lists of megabytes and relabelling thousands of
//! targets would keep connections waiting on the service thread.
//! Never: waits for a shard.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::anyhow;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender as Reply, bounded};
use discovery::finder::{Finder, JobMechanisms};
use machine::handle::Handle;
use machine::plan::bind;
use tokio::sync::mpsc;

use crate::config::job::ScrapeConfig;
use crate::host::lines::float_signed;
use crate::state::{Found, State};
use crate::targets::Pools;

/// Orders that wait.
const ORDERS_MAX: usize = 4;
/// Threads for files, which may hang, and for what resolves names.
const FILE_THREADS: usize = 4;
/// Longest wait until new jobs are in force; a reload of 20,000 targets took 0.31 s
/// (`bench run reload`).
const CONFIGURE_MAX: Duration = Duration::from_secs(60);
/// Time for reads of files under way at the end.
const GRACE: Duration = Duration::from_secs(1);

/// New jobs, and who wants to hear how many targets they have at first.
struct Order {
    jobs: Vec<ScrapeConfig>,
    reply: Reply<usize>,
}

/// The running thread.
pub struct TargetThread {
    orders: mpsc::Sender<Order>,
    thread: JoinHandle<()>,
    ended: Receiver<()>,
}

impl TargetThread {
    /// Starts the thread; it has no jobs yet.
    ///
    /// # Errors
    /// The system has no thread or no descriptor left.
    pub fn start(handle: Arc<Handle>, state: Arc<State>) -> io::Result<TargetThread> {
        let (orders, received) = mpsc::channel(ORDERS_MAX);
        let (alive, ended) = bounded::<()>(0);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(FILE_THREADS)
            .thread_name("targets-file")
            .build()?;
        let thread = std::thread::Builder::new().name("targets".to_owned()).spawn(move || {
            let _alive = alive;
            // A thread that cannot be bound runs anywhere: slower, not wrong.
            let _ = bind(&handle.plan().service);
            runtime.block_on(run(&handle, &state, received));
            runtime.shutdown_timeout(GRACE);
        })?;
        Ok(TargetThread { orders, thread, ended })
    }

    /// Makes these the jobs and waits until they are in force; the number of their targets.
    ///
    /// # Errors
    /// The thread does not answer.
    pub fn configure(&self, jobs: Vec<ScrapeConfig>) -> Result<usize, String> {
        let (reply, done) = bounded(1);
        let busy = |_| "too many configurations wait for the thread of targets".to_owned();
        self.orders.try_send(Order { jobs, reply }).map_err(busy)?;
        let late = |_| "the thread of targets did not take the jobs in time".to_owned();
        done.recv_timeout(CONFIGURE_MAX).map_err(late)
    }

    /// Ends the thread.
    ///
    /// # Errors
    /// It did not end in time, or by a bug.
    pub fn stop(self, timeout: Duration) -> anyhow::Result<()> {
        let TargetThread { orders, thread, ended } = self;
        drop(orders);
        if let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(timeout) {
            return Err(anyhow!("it did not stop in time"));
        }
        thread.join().map_err(|_| anyhow!("it ended by a bug"))
    }
}

async fn run(handle: &Handle, state: &State, mut orders: mpsc::Receiver<Order>) {
    let mut finder = Finder::new(Arc::clone(&state.discovery));
    let mut pools = Pools::default();
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(Order { jobs, reply }) = order else { return };
                finder.apply(mechanisms(&jobs));
                pools.configure(&jobs);
                let targets = give(handle, state, &finder, &mut pools);
                // Whoever asked may have left.
                let _ = reply.try_send(targets);
            }
            () = finder.changed() => {
                give(handle, state, &finder, &mut pools);
            }
        }
    }
}

fn mechanisms(jobs: &[ScrapeConfig]) -> Vec<JobMechanisms> {
    let of_job = |config: &ScrapeConfig| JobMechanisms {
        job: config.job.name.to_string(),
        mechanisms: config.discovery.clone(),
    };
    jobs.iter().map(of_job).collect()
}

/// Makes the targets that there are and gives them to the shards; how many they are.
fn give(handle: &Handle, state: &State, finder: &Finder, pools: &mut Pools) -> usize {
    let list = pools.list(|job| finder.groups(job));
    for fault in &list.faults {
        tracing::warn!("target left out: {fault}");
    }
    let targets = list.specs.len();
    handle.set_targets(list.specs);
    finder.show_update(float_signed(machine::clock::now().wall.0) / 1000.0);
    state.found.send_replace(Arc::new(Found {
        dropped: list.dropped,
        dropped_counts: list.dropped_counts.into_iter().collect(),
        pools: list.pools,
        targets: u64::try_from(targets).unwrap_or(u64::MAX),
    }));
    targets
}
