//! File: groups in JSON and YAML files, read again when the kernel tells of a change.
//!
//! Source: Prometheus's `discovery/file`. A file that cannot be read keeps its groups; one that is
//! gone loses them.
//!
//! Invariant
//! - FS1: a file that cannot be read takes no group away.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::fs::inotify;
use rustix::fs::inotify::{CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout, timeout_at};

use crate::glob;
use crate::group::{Group, read_json, read_yaml};
use crate::metrics::observe;
use crate::outlet::Outlet;

/// Time after a change until files are read: programs write in several steps.
const SETTLE: Duration = Duration::from_millis(50);
/// Longest time for one scan: a file system that hangs must not end discovery of files.
const SCAN_MAX: Duration = Duration::from_secs(60);
/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 64 << 20;
/// Files of one configuration.
const FILES_MAX: usize = 10_000;
/// Bytes of events that are read at once.
const EVENTS_BYTES: usize = 4096;
/// The file that a target came from.
const FILEPATH: &str = "__meta_filepath";
/// Endings of file names that say what is in the file.
const ENDINGS: [&str; 3] = ["json", "yml", "yaml"];

/// One of `file_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct FileOptions {
    /// Paths; the last part of each may hold `*`.
    pub files: Vec<PathBuf>,
    /// `refresh_interval`. Default 5 minutes: for file systems that tell of no change.
    pub refresh: Duration,
}

/// Whether a path may stand in the configuration.
#[must_use]
pub fn is_file_pattern(path: &str) -> bool {
    let Some((stem, ending)) = path.rsplit_once('.') else { return false };
    let is_known = ENDINGS.iter().any(|known| ending == *known || ending == known.to_uppercase());
    let starred = stem.find('*').map_or("", |at| &stem[at..]);
    is_known && !starred.contains('/')
}

/// Reads the files, then again at each change and after `refresh`; ends with its outlet.
pub async fn run(options: FileOptions, outlet: Outlet) {
    let mut watch = match Watch::new() {
        Ok(watch) => Some(watch),
        Err(error) => {
            outlet.metrics.file_watcher_errors.fetch_add(1, Ordering::Relaxed);
            let job = &outlet.own.job;
            tracing::error!(job, %error, "files are not watched, only read again in turn");
            None
        }
    };
    let mut known = BTreeMap::new();
    loop {
        // Before the files are read, so that no change falls between.
        if let Some(watch) = &watch {
            watch.add(&options.files, &outlet);
        }
        known = scan(&options, known, &outlet).await;
        let due = Instant::now() + options.refresh;
        match &mut watch {
            Some(watch) => watch.changed(&options.files, due).await,
            None => drop(timeout_at(due, std::future::pending::<()>()).await),
        }
    }
}

/// Groups of each file.
type Files = BTreeMap<PathBuf, Vec<Group>>;

/// Reads all files and hands on what they hold; gives back what is known from now on.
async fn scan(options: &FileOptions, known: Files, outlet: &Outlet) -> Files {
    let began = Instant::now();
    let paths = options.files.clone();
    let reading = tokio::task::spawn_blocking(move || read_all(&paths));
    let read = match timeout(SCAN_MAX, reading).await {
        Ok(Ok(read)) => read,
        late => {
            let job = &outlet.own.job;
            tracing::error!(job, ended = late.is_ok(), "files could not be read in time");
            outlet.metrics.file_read_errors.fetch_add(1, Ordering::Relaxed);
            return known;
        }
    };
    let mut mtimes = outlet.own.files.borrow().clone();
    let mut files = Files::new();
    for (path, result) in read {
        let shown = path.display().to_string();
        match result {
            Ok((groups, mtime)) => {
                mtimes.insert(shown, mtime);
                files.insert(path, groups);
            }
            Err(reason) => {
                outlet.metrics.file_read_errors.fetch_add(1, Ordering::Relaxed);
                tracing::error!(file = shown, reason, "a file of targets cannot be read");
                if let Some(groups) = known.get(&path) {
                    files.insert(path.clone(), groups.clone());
                }
                let keeps = files.contains_key(&path) == known.contains_key(&path);
                assert!(keeps, "FS1: {shown} lost its groups by a failure");
            }
        }
    }
    mtimes.retain(|path, _| files.contains_key(Path::new(path)));
    outlet.own.files.send_replace(mtimes);
    observe(&outlet.metrics.file_scans, began.elapsed());
    outlet.replace(files.values().flatten().cloned().collect()).await;
    files
}

type Read = Result<(Vec<Group>, i64), String>;

fn read_all(patterns: &[PathBuf]) -> Vec<(PathBuf, Read)> {
    let paths: BTreeSet<PathBuf> = patterns.iter().flat_map(|pattern| expand(pattern)).collect();
    let read = paths.into_iter().take(FILES_MAX).map(|path| {
        let result = read_file(&path);
        (path, result)
    });
    read.collect()
}

/// The files that a pattern names.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    glob::files(pattern, usize::MAX).unwrap_or_else(|reason| {
        let shown = pattern.display();
        tracing::error!(pattern = %shown, reason, "files of targets cannot be found");
        Vec::new()
    })
}

fn directory_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn read_file(path: &Path) -> Read {
    let meta = std::fs::metadata(path).map_err(|error| error.to_string())?;
    // Opening a pipe would wait for who writes into it.
    if !meta.is_file() {
        return Err("not a regular file".to_owned());
    }
    if FILE_BYTES_MAX < meta.len() {
        return Err(format!("larger than {FILE_BYTES_MAX} bytes"));
    }
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let shown = path.display().to_string();
    let labels = [(FILEPATH, shown.as_str())];
    let source_of = |at: usize| format!("{shown}:{at}");
    let is_json = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let groups = if is_json {
        read_json(&bytes, &labels, source_of)?
    } else {
        let text = std::str::from_utf8(&bytes).map_err(|error| error.to_string())?;
        read_yaml(text, &labels, source_of)?
    };
    Ok((groups, meta.mtime()))
}

/// The kernel's word on changes in directories.
struct Watch {
    events: AsyncFd<OwnedFd>,
}

impl Watch {
    fn new() -> std::io::Result<Watch> {
        let descriptor = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        #[expect(deprecated, reason = "its successor is unsafe; an owned descriptor stays open")]
        let events = AsyncFd::new(descriptor)?;
        Ok(Watch { events })
    }

    /// Watches the directories of `patterns`; one that is watched already stays so.
    fn add(&self, patterns: &[PathBuf], outlet: &Outlet) {
        let directories: BTreeSet<PathBuf> =
            patterns.iter().map(|pattern| directory_of(pattern)).collect();
        let changes = WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MODIFY
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        for directory in directories {
            if let Err(error) = inotify::add_watch(self.events.get_ref(), &directory, changes) {
                outlet.metrics.file_watcher_errors.fetch_add(1, Ordering::Relaxed);
                let shown = directory.display();
                tracing::error!(directory = %shown, %error, "a directory cannot be watched");
            }
        }
    }

    /// Returns a little after something that may matter to `patterns` has changed, or when `due`.
    async fn changed(&mut self, patterns: &[PathBuf], due: Instant) {
        loop {
            let Ok(Ok(mut ready)) = timeout_at(due, self.events.readable()).await else { return };
            let matters = drain(self.events.get_ref(), patterns);
            ready.clear_ready();
            if matters {
                // What follows at once belongs to the same change.
                let settled = (Instant::now() + SETTLE).min(due);
                drop(timeout_at(settled, std::future::pending::<()>()).await);
                drain(self.events.get_ref(), patterns);
                return;
            }
        }
    }
}

/// Takes all events; whether one of them may matter.
fn drain(descriptor: &OwnedFd, patterns: &[PathBuf]) -> bool {
    let mut buffer = [MaybeUninit::uninit(); EVENTS_BYTES];
    let mut reader = inotify::Reader::new(descriptor, &mut buffer);
    let mut matters = false;
    loop {
        match reader.next() {
            Ok(event) => {
                // Without a name it is about the directory, or events were lost.
                let name = event.file_name().map(|name| name.to_bytes().to_vec());
                matters |= name.is_none_or(|name| may_matter(&name, patterns));
            }
            Err(Errno::INTR) => {}
            Err(_) => return matters,
        }
    }
}

fn may_matter(name: &[u8], patterns: &[PathBuf]) -> bool {
    // Kubernetes replaces mounted files by turning the link `..data` to another directory.
    name.starts_with(b"..")
        || std::str::from_utf8(name).is_ok_and(|name| {
            let own = patterns.iter().filter_map(|path| path.file_name()?.to_str());
            own.into_iter().any(|own| glob::fits(own, name))
        })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::mpsc;

    use super::*;
    use crate::metrics::{Metrics, ProviderMetrics};
    use crate::outlet::{ProviderId, Update};

    #[test]
    fn patterns_have_a_known_ending_and_stars_only_in_the_last_part() {
        for good in ["a.json", "/x/*.yml", "b*c*.YAML", "my/tg_*.json", "[ab]/c?.yml"] {
            assert!(is_file_pattern(good), "{good}");
        }
        for bad in ["a", "a.txt", "a.Json", "*/a.json", "a*/b.yml", "json"] {
            assert!(!is_file_pattern(bad), "{bad}");
        }
    }

    struct Running {
        updates: mpsc::Receiver<Update>,
        own: Arc<ProviderMetrics>,
        metrics: Arc<Metrics>,
        task: tokio::task::JoinHandle<()>,
    }

    impl Running {
        fn start(files: &[PathBuf], refresh: Duration) -> Running {
            let (sender, updates) = mpsc::channel(8);
            let own = Arc::new(ProviderMetrics::new("file", "job"));
            let metrics = Arc::new(Metrics::default());
            let outlet = Outlet {
                provider: ProviderId(1),
                updates: sender,
                own: Arc::clone(&own),
                metrics: Arc::clone(&metrics),
            };
            let options = FileOptions { files: files.to_vec(), refresh };
            Running { updates, own, metrics, task: tokio::spawn(run(options, outlet)) }
        }

        /// Addresses of the next update that has these, in order.
        async fn wait_for(&mut self, expected: &[&str]) {
            let wait = async {
                loop {
                    let update = self.updates.recv().await.expect("the task runs");
                    assert!(update.is_whole);
                    let all = update.groups.iter().flat_map(Group::label_sets);
                    let found: Vec<String> =
                        all.map(|labels| labels.value("__address__").to_owned()).collect();
                    if found == expected {
                        return;
                    }
                }
            };
            timeout(Duration::from_secs(20), wait).await.unwrap_or_else(|_| {
                panic!("{expected:?} did not come");
            });
        }
    }

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn changes_are_told_by_the_kernel() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.json");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        write(r#"[{"targets": ["a:1"]}]"#);
        let mut running = Running::start(&[directory.path().join("*.json")], HOUR);
        running.wait_for(&["a:1"]).await;
        assert_eq!(running.own.files.borrow().len(), 1);
        write(r#"[{"targets": ["a:1", "b:1"]}]"#);
        running.wait_for(&["a:1", "b:1"]).await;
        // As editors and configuration management do: a new file in the place of the old one.
        let other = directory.path().join("new");
        std::fs::write(&other, r#"[{"targets": ["c:1"]}]"#).unwrap();
        std::fs::rename(&other, &file).unwrap();
        running.wait_for(&["c:1"]).await;
        std::fs::write(directory.path().join("b.json"), r#"[{"targets": ["d:1"]}]"#).unwrap();
        running.wait_for(&["c:1", "d:1"]).await;
        std::fs::remove_file(&file).unwrap();
        running.wait_for(&["d:1"]).await;
        assert_eq!(running.own.files.borrow().len(), 1);
        running.task.abort();
    }

    #[tokio::test]
    async fn fs1_a_broken_file_keeps_its_targets() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a.yml");
        std::fs::write(&file, "- targets: [a]\n").unwrap();
        let mut running = Running::start(&[directory.path().join("*.yml")], HOUR);
        running.wait_for(&["a"]).await;
        std::fs::write(&file, "- targets: [a\n").unwrap();
        std::fs::write(directory.path().join("b.yml"), "- targets: [b]\n").unwrap();
        running.wait_for(&["a", "b"]).await;
        assert!(0 < running.metrics.file_read_errors.load(Ordering::Relaxed), "FS1: not counted");
        running.task.abort();
    }

    #[tokio::test]
    async fn a_directory_that_comes_later_is_found_by_the_refresh() {
        let directory = tempfile::tempdir().unwrap();
        let later = directory.path().join("later");
        let refresh = Duration::from_millis(50);
        let mut running = Running::start(&[later.join("a.json")], refresh);
        running.wait_for(&[]).await;
        assert!(0 < running.metrics.file_watcher_errors.load(Ordering::Relaxed));
        std::fs::create_dir(&later).unwrap();
        std::fs::write(later.join("a.json"), r#"[{"targets": ["a"]}]"#).unwrap();
        running.wait_for(&["a"]).await;
        running.task.abort();
    }
}
