//! Exporters: Debian's own, and recorded pages, as targets that any server may scrape.
//!
//! Each listens on a free port of this machine and is ended by its pid. Those that look for a
//! server of their own find none: they say so, and answer all the same.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use crate::client;
use crate::process::{free_port, peer};

/// How long an exporter may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);
/// Pause between two looks at one that does not answer.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// A target.
pub(crate) struct Exporter {
    /// Name of its job.
    pub(crate) job: &'static str,
    /// `127.0.0.1:port`
    pub(crate) address: String,
    /// Path and query of its page.
    pub(crate) path: String,
    command: Option<Command>,
    child: Option<Child>,
}

/// How one of Debian's programs is started: job, program, its arguments and variables, and the
/// path of its page; `ADDRESS`, `PORT` and `FOLDER` stand for what they are called.
type Program = (&'static str, &'static str, &'static [&'static str], &'static str, &'static str);

const PROGRAMS: &[Program] = &[
    ("node", "prometheus-node-exporter", &["--web.listen-address=ADDRESS"], "", "/metrics"),
    ("pushgateway", "prometheus-pushgateway", &["--web.listen-address=ADDRESS"], "", "/metrics"),
    (
        "blackbox",
        "prometheus-blackbox-exporter",
        &["--config.file=FOLDER/blackbox.yml", "--web.listen-address=ADDRESS"],
        "",
        "/probe?module=tcp&target=ADDRESS",
    ),
    (
        "snmp",
        "prometheus-snmp-exporter",
        &["--config.file=FOLDER/snmp.yml", "--web.listen-address=ADDRESS"],
        "",
        "/metrics",
    ),
    (
        "process",
        "prometheus-process-exporter",
        &["-procnames=prometheus,cresset", "-web.listen-address=ADDRESS"],
        "",
        "/metrics",
    ),
    (
        "mysqld",
        "prometheus-mysqld-exporter",
        &["--web.listen-address=ADDRESS"],
        "u:p@(127.0.0.1:1)/",
        "/metrics",
    ),
    (
        "postgres",
        "prometheus-postgres-exporter",
        &["--web.listen-address=ADDRESS"],
        "postgresql://127.0.0.1:1/postgres?sslmode=disable",
        "/metrics",
    ),
    (
        "redis",
        "prometheus-redis-exporter",
        &["-redis.addr=redis://127.0.0.1:1", "-web.listen-address=ADDRESS"],
        "",
        "/metrics",
    ),
    (
        "apache",
        "prometheus-apache-exporter",
        &["--scrape_uri=http://127.0.0.1:1/", "--telemetry.address=ADDRESS"],
        "",
        "/metrics",
    ),
    ("haproxy", "haproxy", &["-f", "FOLDER/haproxy.cfg"], "", "/metrics"),
    ("alertmanager", "prometheus-alertmanager", &["ADDRESS", "FOLDER"], "", "/metrics"),
];

/// Files that programs read.
const FILES: &[(&str, &str)] = &[
    ("blackbox.yml", "modules: {tcp: {prober: tcp, timeout: 1s}}\n"),
    ("snmp.yml", "none: {walk: [1.3.6.1.2.1.1]}\n"),
    ("alertmanager.yml", "route: {receiver: none}\nreceivers: [{name: none}]\n"),
];
const HAPROXY: &str = "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout \
                       connect 5s\nfrontend page\n  bind ADDRESS\n  http-request use-service \
                       prometheus-exporter if { path /metrics }\n";

impl Exporter {
    /// All of Debian's that are installed, running and answering; the others are named aloud.
    pub(crate) fn debians(folder: &Path) -> anyhow::Result<Vec<Exporter>> {
        for (name, text) in FILES {
            std::fs::write(folder.join(name), text).with_context(|| format!("write {name}"))?;
        }
        let mut all = Vec::new();
        for program in PROGRAMS {
            let (job, name, ..) = *program;
            let found = peer(&format!("{}_BIN", job.to_uppercase()), name);
            let found = found.or_else(|| beside_bin(name));
            let Some(path) = found else {
                println!("skipped 1: {name} is not installed");
                continue;
            };
            let mut exporter = Exporter::new(program, &path, folder)?;
            match exporter.start() {
                Ok(()) => all.push(exporter),
                Err(error) => println!("skipped 1: {name} does not answer here: {error:#}"),
            }
        }
        Ok(all)
    }

    fn new(program: &Program, path: &Path, folder: &Path) -> anyhow::Result<Exporter> {
        let (job, _, arguments, source, page) = *program;
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let shown = folder.display().to_string();
        let filled = |text: &str| text.replace("ADDRESS", &address).replace("FOLDER", &shown);
        let mut command = if job == "alertmanager" {
            alertmanager(path, &address, &shown)
        } else {
            Command::new(path)
        };
        if job == "haproxy" {
            let file = folder.join("haproxy.cfg");
            std::fs::write(file, filled(HAPROXY)).context("write haproxy.cfg")?;
            // Its libraries lie beside it where it was unpacked and not installed.
            let libraries = path.parent().and_then(Path::parent).map(|usr| usr.join("lib"));
            let libraries = libraries.unwrap_or_default().join("x86_64-linux-gnu");
            command.env("LD_LIBRARY_PATH", libraries);
        }
        if job != "alertmanager" {
            command.args(arguments.iter().map(|argument| filled(argument)));
        }
        if !source.is_empty() {
            command.env("DATA_SOURCE_NAME", source);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let path = filled(page);
        Ok(Exporter { job, address, path, command: Some(command), child: None })
    }

    /// A target that somebody else runs.
    pub(crate) fn running(job: &'static str, address: &str, path: &str) -> Exporter {
        let (address, path) = (address.to_owned(), path.to_owned());
        Exporter { job, address, path, command: None, child: None }
    }

    /// Starts it and waits until it answers.
    pub(crate) fn start(&mut self) -> anyhow::Result<()> {
        let command = self.command.as_mut().context("it is somebody else's")?;
        self.child = Some(command.spawn().context("start it")?);
        let began = Instant::now();
        while began.elapsed() < ANSWERS_WITHIN {
            let child = self.child.as_mut().context("it was started")?;
            if let Some(status) = child.try_wait().context("look at it")? {
                bail!("it ended with {status}");
            }
            let answer = client::get(&self.address, &self.path);
            if answer.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            std::thread::sleep(POLL_EVERY);
        }
        bail!("no answer within {ANSWERS_WITHIN:?}")
    }

    /// Ends it at once.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its job in a prometheus.yml.
    pub(crate) fn yaml(&self) -> String {
        let Exporter { job, address, path, .. } = self;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let params: Vec<String> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| format!("{name}: ['{value}']"))
            .collect();
        let params = params.join(", ");
        let honor = *job == "pushgateway";
        format!(
            "- job_name: {job}\n  metrics_path: {path}\n  params: {{{params}}}\n  honor_labels: \
             {honor}\n  static_configs: [{{targets: ['{address}']}}]\n"
        )
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Debian keeps haproxy in sbin.
fn beside_bin(name: &str) -> Option<PathBuf> {
    let node = peer("", "prometheus-node-exporter")?;
    let path = node.parent()?.parent()?.join("sbin").join(name);
    path.is_file().then_some(path)
}

/// Alertmanager reads its templates from where Debian installs them: where it was unpacked only, it
/// is shown that place in a name space of its own.
fn alertmanager(path: &Path, address: &str, folder: &str) -> Command {
    let share = path.parent().and_then(Path::parent).map(|usr| usr.join("share/prometheus"));
    let share = share.unwrap_or_default().display().to_string();
    let script = format!(
        "set -e; if [ ! -d /usr/share/prometheus/alertmanager ]; then\n\
         cp -r '{share}' '{folder}/share'; mount -t tmpfs none /usr/share\n\
         mv '{folder}/share' /usr/share/prometheus; fi\n\
         exec '{}' --config.file='{folder}/alertmanager.yml' --storage.path='{folder}/am' \
         --cluster.listen-address= --web.listen-address={address}",
        path.display()
    );
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script]);
    command
}

/// Pages that were recorded, served as they are; one of them loses a family when it is told to.
pub(crate) struct Recorded {
    /// `127.0.0.1:port`
    pub(crate) address: String,
    /// Paths of the pages.
    pub(crate) paths: Vec<String>,
    is_short: Arc<AtomicBool>,
}

/// The page that loses a family, and the family.
pub(crate) const VANISHING: (&str, &str) = ("/vanishing", "bench_goes");

impl Recorded {
    /// Serves the pages of the test data, and one of its own.
    pub(crate) fn serve(testdata: Option<&Path>) -> anyhow::Result<Recorded> {
        let mut pages = Vec::new();
        for (path, file) in [
            ("/node", "node_exporter/exposition/e2e-output.txt"),
            ("/all-types", "prometheus/exposition/alltypes.237mfs.prom.txt"),
            ("/openmetrics", "prometheus/exposition/1histogram.om.txt"),
        ] {
            let Some(testdata) = testdata else {
                println!("skipped 1: CRESSET_TESTDATA names no recorded page {file}");
                continue;
            };
            let page =
                std::fs::read(testdata.join(file)).with_context(|| format!("read {file}"))?;
            pages.push((path.to_owned(), page));
        }
        pages.push((VANISHING.0.to_owned(), b"# TYPE bench_stays gauge\nbench_stays 1\n".to_vec()));
        let listener = TcpListener::bind("127.0.0.1:0").context("bind a port")?;
        let address = listener.local_addr().context("read the port")?.to_string();
        let (paths, is_short) =
            (pages.iter().map(|(path, _)| path.clone()).collect(), Arc::default());
        let (pages, shared) = (Arc::new(pages), Arc::clone(&is_short));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (pages, is_short) = (Arc::clone(&pages), Arc::clone(&shared));
                std::thread::spawn(move || answer(stream, &pages, &is_short));
            }
        });
        Ok(Recorded { address, paths, is_short })
    }

    /// Leaves the family out from here on.
    pub(crate) fn shorten(&self) {
        self.is_short.store(true, Ordering::SeqCst);
    }
}

/// Answers the requests of one connection.
fn answer(mut stream: TcpStream, pages: &[(String, Vec<u8>)], is_short: &AtomicBool) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    loop {
        head.clear();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let path = head.split(' ').nth(1).unwrap_or_default();
        let Some((_, page)) = pages.iter().find(|(known, _)| known == path) else { return };
        let mut page = page.clone();
        if path == VANISHING.0 && !is_short.load(Ordering::SeqCst) {
            let goes =
                format!("# TYPE {0} gauge\n{0}{{x=\"1\"}} 1\n{0}{{x=\"2\"}} 2\n", VANISHING.1);
            page.extend_from_slice(goes.as_bytes());
        }
        let kind = match path {
            "/openmetrics" => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            _ => "text/plain; version=0.0.4",
        };
        let length = page.len();
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
        if stream.write_all(&[head.into_bytes(), page].concat()).is_err() {
            return;
        }
    }
}

/// Pushes two groups to a push gateway.
pub(crate) fn push(address: &str) -> anyhow::Result<()> {
    for (path, body) in [
        ("/metrics/job/backup/instance/a", "# TYPE backup_seconds gauge\nbackup_seconds 12.5\n"),
        ("/metrics/job/batch", "# TYPE batch_total counter\nbatch_total{kind=\"x\"} 3\n"),
    ] {
        let headers = "Content-Type: text/plain; version=0.0.4\r\n";
        let answer = client::post(address, path, headers, body.as_bytes())?;
        ensure!(answer.status / 100 == 2, "the push gateway answered {}", answer.status);
    }
    Ok(())
}
