//! Target thread: runs discovery, makes targets of what it finds, gives them to the shards.
//!
//! Path: `boot` → **target_thread** → `targets` → the machine's handle → shards.
//! Owns: a small tokio runtime of its own: reading lists of megabytes and relabelling thousands of
//! targets would keep connections waiting on the service thread.
//! Never: waits for a shard, but where targets move from one to another.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::anyhow;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender as Reply, bounded};
use discovery::finder::{Finder, JobMechanisms};
use machine::handle::Handle;
use machine::placement::Placement;
use machine::plan::bind;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use crate::balance::{self, Balance, LOOK_INTERVAL};
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
    let (mut pools, mut moves) = (Pools::default(), Moves::default());
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(Order { jobs, reply }) = order else { return };
                finder.apply(mechanisms(&jobs));
                pools.configure(&jobs);
                let targets = give(handle, state, &finder, &mut pools, &mut moves);
                // Whoever asked may have left.
                let _ = reply.try_send(targets);
            }
            () = finder.changed() => {
                give(handle, state, &finder, &mut pools, &mut moves);
            }
            _ = looks.tick() => {
                if look(handle, &mut moves).await {
                    give(handle, state, &finder, &mut pools, &mut moves);
                }
            }
        }
    }
}

/// Where targets are, and whether some should move.
#[derive(Default)]
struct Moves {
    placement: Placement,
    balance: Balance,
}

/// Moves targets from an overloaded shard to an idle one; true when all shards must be told theirs
/// again. Nothing else is given to the shards meanwhile.
async fn look(handle: &Handle, moves: &mut Moves) -> bool {
    let wanted = moves.balance.look(machine::clock::tick(), &handle.worked_nanos());
    let Some(wanted) = wanted else { return false };
    let moved = balance::perform(handle, &mut moves.placement, wanted).await;
    let percent = |part: f64| format!("{:.0} %", part * 100.0);
    tracing::info!(
        from = wanted.from,
        to = wanted.to,
        busy_from = percent(wanted.busy.0),
        busy_to = percent(wanted.busy.1),
        targets = moved.targets,
        series = moved.series,
        elsewhere = moves.placement.moved(),
        "moved targets from a busy shard to an idle one"
    );
    if moved.is_torn {
        tracing::warn!("a shard did not say what became of the targets it was given");
    }
    moved.is_torn
}

fn mechanisms(jobs: &[ScrapeConfig]) -> Vec<JobMechanisms> {
    let of_job = |config: &ScrapeConfig| JobMechanisms {
        job: config.job.name.to_string(),
        mechanisms: config.discovery.clone(),
    };
    jobs.iter().map(of_job).collect()
}

/// Makes the targets that there are and gives them to the shards; how many they are.
fn give(
    handle: &Handle,
    state: &State,
    finder: &Finder,
    pools: &mut Pools,
    moves: &mut Moves,
) -> usize {
    let list = pools.list(|job| finder.groups(job));
    for fault in &list.faults {
        tracing::warn!("target left out: {fault}");
    }
    let targets = list.specs.len();
    if moves.placement.moved() != 0 {
        let there: HashSet<u128> = list.specs.iter().map(|spec| spec.identity().0).collect();
        moves.placement.keep(|identity| there.contains(&identity));
    }
    handle.set_targets(list.specs, &moves.placement);
    finder.show_update(float_signed(machine::clock::now().wall.0) / 1000.0);
    state.found.send_replace(Arc::new(Found {
        dropped: list.dropped,
        dropped_counts: list.dropped_counts.into_iter().collect(),
        pools: list.pools,
        pool_totals: list.pool_totals,
        targets: u64::try_from(targets).unwrap_or(u64::MAX),
    }));
    targets
}
