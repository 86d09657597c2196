//! Server processes under measurement: started on loopback, watched through /proc, ended by pid.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::client;

/// How long a server may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Pause between two looks at a server that is not ready.
const POLL_EVERY: Duration = Duration::from_millis(10);
/// A server rests when it used less than this share of a core in so many looks.
const QUIET_SHARE: f64 = 0.05;
const QUIET_LOOKS: u32 = 3;
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A program that speaks Prometheus's flags and HTTP API.
pub(crate) struct Server {
    child: Child,
    /// `127.0.0.1:port`
    pub(crate) address: String,
    /// From start to the first 200 of `/-/ready`.
    pub(crate) ready_after: Duration,
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time.
    pub(crate) cpu_seconds: f64,
    /// Resident now.
    pub(crate) resident_bytes: u64,
    /// Resident at most.
    pub(crate) peak_bytes: u64,
    /// Bytes it caused to be written to disk.
    pub(crate) written_bytes: u64,
}

impl Server {
    /// Starts `program` with `config` and `directory` on a free port and waits until it is ready.
    pub(crate) fn start(program: &Path, config: &Path, directory: &Path) -> anyhow::Result<Server> {
        Server::start_with(program, config, directory, &[])
    }

    /// As [`Server::start`], with more flags.
    pub(crate) fn start_with(
        program: &Path,
        config: &Path,
        directory: &Path,
        flags: &[&str],
    ) -> anyhow::Result<Server> {
        let address = format!("127.0.0.1:{}", free_port()?);
        Server::start_at_with(program, config, directory, &address, flags)
    }

    /// As [`Server::start`], at an address that is free.
    pub(crate) fn start_at(
        program: &Path,
        config: &Path,
        directory: &Path,
        address: &str,
    ) -> anyhow::Result<Server> {
        Server::start_at_with(program, config, directory, address, &[])
    }

    fn start_at_with(
        program: &Path,
        config: &Path,
        directory: &Path,
        address: &str,
        flags: &[&str],
    ) -> anyhow::Result<Server> {
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", directory.display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .args(flags);
        Server::spawn(command, address.to_owned(), directory)
    }

    /// Starts a server that listens at `address` and waits until it is ready; its log lies beside
    /// `directory`.
    pub(crate) fn spawn(
        mut command: Command,
        address: String,
        directory: &Path,
    ) -> anyhow::Result<Server> {
        let log = directory.with_extension("log");
        let log = fs::File::options().create(true).append(true).open(&log).context("open log")?;
        let started = Instant::now();
        let child = command
            .stdout(log.try_clone().context("share log")?)
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", command.get_program().display()))?;
        let mut server = Server { child, address, ready_after: Duration::ZERO };
        server.wait_until_ready(started)?;
        Ok(server)
    }

    /// Lets the peak of resident memory begin anew.
    pub(crate) fn forget_peak(&self) -> anyhow::Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").context("forget the peak")
    }

    /// Waits until it uses next to no CPU, at most for `within`.
    pub(crate) fn rest(&self, within: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        let mut quiet = 0;
        while quiet < QUIET_LOOKS && begun.elapsed() < within {
            let before = self.usage()?.cpu_seconds;
            std::thread::sleep(LOOK_EVERY);
            let used = self.usage()?.cpu_seconds - before;
            quiet = if used < QUIET_SHARE * LOOK_EVERY.as_secs_f64() { quiet + 1 } else { 0 };
        }
        Ok(())
    }

    fn wait_until_ready(&mut self, started: Instant) -> anyhow::Result<()> {
        while started.elapsed() < READY_WITHIN {
            if let Some(status) = self.child.try_wait().context("look at the server")? {
                bail!("the server ended with {status} before it was ready");
            }
            if client::get(&self.address, "/-/ready").is_ok_and(|answer| answer.status == 200) {
                self.ready_after = started.elapsed();
                return Ok(());
            }
            std::thread::sleep(POLL_EVERY);
        }
        bail!("the server is not ready after {READY_WITHIN:?}")
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let pid = self.child.id();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("read stat")?;
        let fields: Vec<&str> =
            stat.rsplit(") ").next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 =
            [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).context("read status")?;
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        Ok(Usage {
            cpu_seconds: ticks as f64 / rustix::param::clock_ticks_per_second() as f64,
            resident_bytes: field(&status, "VmRSS:") * 1024,
            peak_bytes: field(&status, "VmHWM:") * 1024,
            written_bytes: field(&io, "write_bytes:"),
        })
    }

    /// Ends it at once, as a power cut of the process would.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().context("kill the server")?;
        self.child.wait().context("wait for the killed server")?;
        Ok(())
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) -> anyhow::Result<()> {
        let raw = i32::try_from(self.child.id()).context("a pid fits an i32")?;
        let pid = rustix::process::Pid::from_raw(raw).context("a pid is not 0")?;
        rustix::process::kill_process(pid, signal).context("send a signal")
    }

    /// Asks it to end and waits; an error unless it exits with 0.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        self.signal(rustix::process::Signal::TERM)?;
        let asked = Instant::now();
        while asked.elapsed() < READY_WITHIN {
            if let Some(status) = self.child.try_wait().context("look at the server")? {
                if status.success() {
                    return Ok(());
                }
                bail!("the server ended with {status} after SIGTERM");
            }
            std::thread::sleep(POLL_EVERY);
        }
        bail!("the server runs on {READY_WITHIN:?} after SIGTERM")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A scenario that fails half-way leaves no server behind; one that was waited for is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// A loopback port that was free a moment ago.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("bind a free port")?;
    Ok(listener.local_addr().context("read the port")?.port())
}

/// The daemon's release binary: `CRESSET_BIN`, or `cresset` beside this program.
pub(crate) fn cresset() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("CRESSET_BIN") {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe().context("find this program")?;
    let path = own.with_file_name("cresset");
    if path.is_file() {
        return Ok(path);
    }
    bail!("no {}: run `cargo build --release` first, or set CRESSET_BIN", path.display())
}

/// A peer's binary: the variable's path, or the name on PATH; `None` when it is not installed.
pub(crate) fn peer(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(PathBuf::from(path));
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Kernel, cores, memory and load: what a figure must be read with.
pub(crate) fn machine_facts() -> String {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "Linux {}, {cpus} CPUs, {} GiB, load {}",
        kernel.trim(),
        field(&memory, "MemTotal:") >> 20,
        load.split_whitespace().next().unwrap_or("?"),
    )
}

/// Bytes of the files under `directory`, as allocated on disk.
pub(crate) fn disk_bytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let sizes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(facts) if facts.is_dir() => disk_bytes(&entry.path()),
        Ok(facts) => facts.blocks() * 512,
        Err(_) => 0,
    });
    sizes.sum()
}
