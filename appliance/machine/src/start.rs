//! Start: opens the data directory, recovers the shards in parallel and sets them turning.
//!
//! Path: `server` → **start** → `open`, `shard_loop`, `wal_thread`, `files` → `handle`.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam::channel::{Receiver, Sender, bounded};
use shard::options::Options as ShardOptions;
use shard::pace::Bounds;
use shard::shard::Shard;
use storage::options::Options as StorageOptions;
use storage::tile_read::TileRead;

use crate::access::{self, Office};
use crate::client::Client;
use crate::compactor;
use crate::fault::Faults;
use crate::files;
use crate::handle::{Beat, Gauges, Handle, ShardEnd, Worker};
use crate::mailbox::{Bounds as MailboxBounds, Postbox, mailbox};
use crate::open::{
    Description, Progress, SHARDS_MAX, StartError, block_bytes, describe, lock, recover,
    shard_directory, system,
};
use crate::options::Options;
use crate::own::Own;
use crate::pacer::{self, Lease, Strain};
use crate::plan::{Plan, bind, plan, raise};
use crate::pressure::Watched;
use crate::probe::probe;
use crate::reactor::{IoChoice, IoKind, Reactor};
use crate::resolve::{self, Resolver};
use crate::ring::{Flavor, Sizes};
use crate::segments;
use crate::shard_loop::{Links, ShardLoop};
use crate::tiles::TileFiles;
use crate::topology::allowed;
use crate::wake::Waker;
use crate::wal_thread::{self, Ages, LogSender};
use crate::worker::spawn;

/// Entries of a shard's submission queue: it is emptied in every turn, and fuller in between.
const RING_ENTRIES: u32 = 1024;
/// Least that compaction may be held to, bytes a second: below it a store may fill for want of it.
const RATE_LEAST: u64 = 1 << 20;
/// Results of background threads that may wait for a shard.
const DONE_MAX: usize = 1024;

/// Starts the machine: every shard is recovered and turning when this returns.
///
/// # Errors
/// See [`StartError`]; nothing runs then.
pub fn start(options: Options, progress: &Arc<Progress>) -> Result<Handle, StartError> {
    start_with(options, progress, &Faults::default())
}

/// [`start`] with faults injected into every reactor.
pub(crate) fn start_with(
    options: Options,
    progress: &Arc<Progress>,
    faults: &Faults,
) -> Result<Handle, StartError> {
    check(&options)?;
    let mut notes = Vec::new();
    let io = choose(options.io, &mut notes)?;
    let plan = plan(&allowed(), &options.cores)?;
    notes.push(format!("plan of cores: {plan}"));
    let lock = lock(&options.directory)?;
    let description = description(&options, &plan, &mut notes)?;
    notes.push(format!("log in blocks of {} bytes", description.block_bytes));
    let boot = Boot { options, io, plan, description, faults: faults.clone(), lock };
    let shards = boot.recover_all(progress)?;
    boot.connect(shards, notes)
}

fn check(options: &Options) -> Result<(), StartError> {
    let out =
        |name: &str, range: &str| Err(StartError::Options(format!("{name} is outside {range}")));
    if options.shards.is_some_and(|shards| !(1..=SHARDS_MAX).contains(&shards)) {
        return out("shards", "1..=1024");
    }
    if !(1..=65_536).contains(&options.connections_max) {
        return out("connections_max", "1..=65536");
    }
    if !(1..=65_536).contains(&options.questions_max) {
        return out("questions_max", "1..=65536");
    }
    if !(1..=600_000).contains(&options.commit_deadline_ms) {
        return out("commit_deadline_ms", "1..=600000");
    }
    let pace = bounds(options);
    if !(RATE_LEAST..=pace.rate_max).contains(&pace.rate_min) {
        return out("pace.rate_min", "1 MiB..=pace.rate_max");
    }
    if !(pace.commit_age_ms_min..=1000).contains(&pace.commit_age_ms_max) {
        return out("pace.commit_age_ms_max", "the commit's age..=1000");
    }
    Ok(())
}

/// The pacer's bounds: on a calm machine commits are those of the store's options.
fn bounds(options: &Options) -> Bounds {
    Bounds {
        commit_age_ms_min: options.storage.commit_age_ms_max,
        commit_bytes_min: options.storage.commit_bytes_max,
        ..options.pace
    }
}

fn choose(choice: IoChoice, notes: &mut Vec<String>) -> Result<IoKind, StartError> {
    if choice == IoChoice::Epoll {
        notes.push("I/O by epoll, as asked".to_owned());
        return Ok(IoKind::Epoll);
    }
    let found = probe();
    match found.ring {
        Ok(()) => {
            notes.extend(found.notes);
            notes.push("I/O by io_uring".to_owned());
            Ok(IoKind::Ring)
        }
        Err(reason) if choice == IoChoice::Ring => Err(StartError::Ring(reason)),
        Err(reason) => {
            notes.push(format!("I/O by epoll: io_uring is not available: {reason}"));
            Ok(IoKind::Epoll)
        }
    }
}

/// The directory's own numbers; a new one takes them from options and plan.
fn description(
    options: &Options,
    plan: &Plan,
    notes: &mut Vec<String>,
) -> Result<Description, StartError> {
    let planned = u32::try_from(plan.shards.len()).unwrap_or(SHARDS_MAX);
    let wanted = options.shards.unwrap_or(planned);
    let directory = &options.directory;
    let found = describe(directory, || Description {
        shards: wanted,
        block_bytes: block_bytes(directory),
    })?;
    if found.shards != wanted {
        let kept = found.shards;
        notes.push(format!("the data directory has {kept} shards and keeps them, not {wanted}"));
    }
    Ok(found)
}

/// What every part of the start needs.
struct Boot {
    options: Options,
    io: IoKind,
    plan: Plan,
    description: Description,
    faults: Faults,
    lock: OwnedFd,
}

/// A shard's thread: recovered, with a reactor, waiting for its links.
struct Waiting {
    worker: Worker,
    waker: Waker,
    links: Sender<Links>,
    directory: PathBuf,
}

/// A shard's thread before it has said that it is ready.
struct Recovering {
    worker: Worker,
    ready: Receiver<Result<Waker, StartError>>,
    links: Sender<Links>,
    directory: PathBuf,
}

impl Boot {
    fn storage_options(&self, number: u32) -> StorageOptions {
        let block_bytes = self.description.block_bytes;
        let share =
            StorageOptions { shards: self.description.shards, ..self.options.storage.clone() };
        StorageOptions { shard: number, block_bytes, ..share }
    }

    fn shard_options(&self, number: u32) -> ShardOptions {
        let shards = usize::try_from(self.description.shards).unwrap_or(1).max(1);
        let mut options = self.options.shard.clone();
        options.scrape.shard = number;
        options.scrape.exemplars_max = self.options.exemplars_max.div_ceil(shards);
        options
    }

    /// Starts one thread a shard; each recovers its store, all at once.
    fn recover_all(&self, progress: &Arc<Progress>) -> Result<Vec<Waiting>, StartError> {
        let begun: Vec<Recovering> = (0..self.description.shards)
            .map(|number| self.begin_recovery(number, progress))
            .collect::<Result<_, _>>()?;
        let ended = begun.into_iter().map(|Recovering { worker, ready, links, directory }| {
            match ready.recv() {
                Ok(Ok(waker)) => Ok(Waiting { worker, waker, links, directory }),
                Ok(Err(error)) => Err(error),
                Err(_) => Err(StartError::Died(worker.name)),
            }
        });
        ended.collect()
    }

    fn begin_recovery(
        &self,
        number: u32,
        progress: &Arc<Progress>,
    ) -> Result<Recovering, StartError> {
        let name = format!("shard-{number}");
        let directory = shard_directory(&self.options.directory, number)?;
        let (links, linked) = bounded::<Links>(1);
        let (made, ready) = bounded(1);
        let cpus = &self.plan.shards;
        let cpu = self.options.pin.then(|| cpus[number as usize % cpus.len()]);
        // What the ring cannot do at once is done elsewhere, not on the shard's core.
        let workers = if self.options.pin { self.plan.service.clone() } else { Vec::new() };
        let (storage, shard) = (self.storage_options(number), self.shard_options(number));
        let (io, faults, progress) = (self.io, self.faults.clone(), Arc::clone(progress));
        let sizes = self.sizes();
        let path = directory.clone();
        let worker = spawn(&name, move || {
            bind_to(&cpu.into_iter().collect::<Vec<_>>());
            let opened = open_shard(&path, storage, io, sizes, faults, &progress);
            let (store, reactor) = match opened {
                Ok((store, reactor)) => {
                    reactor.bind_workers(&workers);
                    (store, reactor)
                }
                Err(error) => return drop(made.send(Err(error))),
            };
            let shard = Shard::new(shard, *store);
            if made.send(Ok(reactor.waker())).is_err() {
                return;
            }
            // Without links the start failed elsewhere.
            if let Ok(links) = linked.recv() {
                ShardLoop::new(shard, reactor, links).run();
            }
        });
        let worker = worker.map_err(system(format!("start thread {name}")))?;
        Ok(Recovering { worker, ready, links, directory })
    }

    fn start_log(
        &self,
        postboxes: &[Postbox],
        cpus: &[usize],
    ) -> Result<(LogSender, Worker, Arc<dyn Gauges>), StartError> {
        let bound = cpus.to_vec();
        let options = wal_thread::Options {
            io: self.io,
            faults: self.faults.clone(),
            postboxes: postboxes.to_vec(),
            workers: cpus.to_vec(),
            prepare: Box::new(move || {
                bind_to(&bound);
                if let Err(cause) = raise() {
                    tracing::info!(%cause, "the log's thread keeps the usual priority");
                }
            }),
        };
        wal_thread::start(options).map_err(system("start the log's thread"))
    }

    fn start_pacer(
        &self,
        postboxes: &[Postbox],
        ages: Ages,
        strain: &Arc<Strain>,
        prepare: Box<dyn FnOnce() + Send>,
    ) -> Result<(Lease, Worker, Arc<dyn Gauges>), StartError> {
        let options = pacer::Options {
            bounds: bounds(&self.options),
            watched: Watched::new(self.plan.used(), &self.options.directory),
            source: self.options.pressure.clone(),
            ages,
            strain: Arc::clone(strain),
            postboxes: postboxes.to_vec(),
            prepare,
        };
        pacer::start(options).map_err(system("start the pacer's thread"))
    }

    fn sizes(&self) -> Sizes {
        let connections = self.options.connections_max;
        let files_max = u32::try_from(connections + 16).unwrap_or(u32::MAX);
        // A connection sends, receives, and may have one of each being cancelled.
        Sizes { entries: RING_ENTRIES, ops_max: 4 * connections + 64, files_max }
    }

    /// Starts the threads that serve the shards, and links everything.
    fn connect(self, shards: Vec<Waiting>, notes: Vec<String>) -> Result<Handle, StartError> {
        let bounds =
            MailboxBounds { questions_max: self.options.questions_max, done_max: DONE_MAX };
        let (mailboxes, postboxes): (Vec<_>, Vec<Postbox>) =
            shards.iter().map(|shard| mailbox(shard.waker.clone(), bounds)).unzip();
        let directories: Vec<PathBuf> = shards.iter().map(|s| s.directory.clone()).collect();
        let tiles: Vec<Arc<TileFiles>> =
            directories.iter().map(|path| Arc::new(TileFiles::new(path.clone()))).collect();
        let own = Own::default();
        let service = Service::start(&self, &own, &postboxes, &directories, &tiles)?;
        let damages = tiles.iter().map(|tiles| Arc::clone(&tiles.damages) as Arc<dyn Gauges>);
        let damages: Vec<Arc<dyn Gauges>> = damages.collect();
        let mut workers = Vec::new();
        let mut ends = Vec::new();
        let parts = shards.into_iter().zip(mailboxes).zip(postboxes).zip(tiles).enumerate();
        for (index, (((shard, mailbox), postbox), tiles)) in parts {
            let client = Client::new(
                self.options.connections_max,
                self.options.buffers_bytes_max,
                service.resolver.clone(),
                service.office.clone(),
                postbox.clone(),
            );
            let beat = Arc::new(Beat::default());
            let links = Links {
                index,
                mailbox,
                postbox: postbox.clone(),
                log: service.log.clone(),
                segments: service.segments.clone(),
                files: service.files.clone(),
                compactor: service.compactor.clone(),
                strain: Arc::clone(&service.strain),
                lease: service.lease.clone(),
                client,
                commit_deadline_ms: self.options.commit_deadline_ms,
                beat: Arc::clone(&beat),
            };
            let sent = shard.links.send(links);
            sent.map_err(|_| StartError::Died(shard.worker.name.clone()))?;
            workers.push(shard.worker);
            ends.push(ShardEnd { postbox, tiles: tiles as Arc<dyn TileRead>, beat });
        }
        workers.extend(service.workers);
        let mut gauges = service.gauges;
        gauges.extend(damages);
        let Boot { io, plan, lock, .. } = self;
        Ok(Handle { shards: ends, workers, gauges, io, plan, notes, own, lock })
    }
}

/// The threads that serve all shards.
struct Service {
    resolver: Resolver,
    office: Office,
    log: LogSender,
    segments: Sender<segments::Request>,
    files: Sender<files::Request>,
    compactor: Sender<compactor::Request>,
    strain: Arc<Strain>,
    lease: Lease,
    workers: Vec<Worker>,
    gauges: Vec<Arc<dyn Gauges>>,
}

impl Service {
    fn start(
        boot: &Boot,
        own: &Own,
        postboxes: &[Postbox],
        directories: &[PathBuf],
        tiles: &[Arc<TileFiles>],
    ) -> Result<Service, StartError> {
        let cpus = if boot.options.pin { boot.plan.service.clone() } else { Vec::new() };
        let bound = |cpus: &[usize]| {
            let cpus = cpus.to_vec();
            Box::new(move || bind_to(&cpus)) as Box<dyn FnOnce() + Send>
        };
        let (log, log_worker, log_gauges) = boot.start_log(postboxes, &cpus)?;
        let each = || directories.iter().zip(postboxes);
        let places = each().map(|(directory, postbox)| segments::Place {
            directory: directory.clone(),
            segment_bytes: boot.options.storage.segment_bytes,
            block_bytes: usize::try_from(boot.description.block_bytes).unwrap_or(4096),
            spares_max: boot.options.spare_segments_max,
            postbox: postbox.clone(),
        });
        let (segments, segments_worker) =
            segments::start(places.collect(), log.clone(), bound(&cpus))
                .map_err(system("start the thread of segments"))?;
        let places = each().zip(tiles).map(|((directory, postbox), tiles)| files::Place {
            directory: directory.clone(),
            postbox: postbox.clone(),
            tiles: Arc::clone(tiles),
        });
        let (files, files_worker, files_gauges) =
            files::start(boot.io, boot.faults.clone(), places.collect(), bound(&cpus))
                .map_err(system("start the thread of files"))?;
        let places = each().zip(tiles).map(|((directory, postbox), tiles)| compactor::Place {
            directory: directory.clone(),
            postbox: postbox.clone(),
            tiles: Arc::clone(tiles),
        });
        let strain = Arc::new(Strain::new(bounds(&boot.options)));
        let (compactor, compactor_worker, compactor_gauges) =
            compactor::start(boot.io, places.collect(), Arc::clone(&strain), bound(&cpus))
                .map_err(system("start the thread of compaction"))?;
        let (lease, pacer_worker, pacer_gauges) =
            boot.start_pacer(postboxes, log.ages(), &strain, bound(&cpus))?;
        let (resolver, resolve_worker, resolve_gauges) =
            resolve::start().map_err(system("start the resolver's thread"))?;
        let (office, access_worker, access_gauges) =
            access::start(own.clone()).map_err(system("start the thread of credentials"))?;
        // The log's thread ends when that of segments has gone.
        let mut workers =
            vec![segments_worker, log_worker, files_worker, compactor_worker, resolve_worker];
        workers.extend([access_worker, pacer_worker]);
        let mut gauges = vec![log_gauges, files_gauges, compactor_gauges, resolve_gauges];
        gauges.extend([access_gauges, pacer_gauges]);
        Ok(Service {
            resolver,
            office,
            log,
            segments,
            files,
            compactor,
            strain,
            lease,
            workers,
            gauges,
        })
    }
}

fn open_shard(
    directory: &Path,
    storage: StorageOptions,
    io: IoKind,
    sizes: Sizes,
    faults: Faults,
    progress: &Progress,
) -> Result<(Box<storage::store::Store>, Reactor), StartError> {
    let shard = storage.shard;
    let (store, report) = recover(directory, storage, progress)?;
    tracing::info!(
        shard,
        series = report.series,
        tiles = report.tiles,
        segments = report.segments,
        rows = report.rows,
        "shard recovered"
    );
    for damage in &report.damages {
        tracing::warn!(shard, "left out at recovery, as a commit cut off by a crash is: {damage}");
    }
    let reactor = Reactor::new(io, Flavor::Shard, sizes, faults).map_err(|cause| {
        system(format!("make reactor of shard {shard}"))(io::Error::from(cause))
    })?;
    Ok((store, reactor))
}

/// Binds the calling thread; none means that it runs where it likes.
fn bind_to(cpus: &[usize]) {
    if !cpus.is_empty()
        && let Err(cause) = bind(cpus)
    {
        tracing::warn!(?cpus, %cause, "thread not bound to its core");
    }
}
