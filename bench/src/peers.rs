//! Cresset and what it is measured beside: Debian's programs, or others by a variable.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::client;
use crate::process::{self, Server};

/// Cresset and Prometheus look for what to compact once a minute.
const SWEEP: Duration = Duration::from_secs(65);

/// A program that scrapes by Prometheus's configuration, takes remote write and answers PromQL.
pub(crate) struct Peer {
    /// `cresset`, `prometheus` or `victoria-metrics`
    pub(crate) name: &'static str,
    program: PathBuf,
}

/// Cresset first, then each peer that is installed; what is absent is said.
pub(crate) fn all() -> anyhow::Result<Vec<Peer>> {
    let mut peers = vec![Peer { name: "cresset", program: process::cresset()? }];
    for (name, variable) in [("prometheus", "PROM2_BIN"), ("victoria-metrics", "VM_BIN")] {
        match process::peer(variable, name) {
            Some(program) => peers.push(Peer { name, program }),
            None => println!("skipped: {name} is not installed (apt-get install {name})"),
        }
    }
    Ok(peers)
}

impl Peer {
    /// Starts it with `config` over `directory` on a free port and waits until it is ready.
    /// VictoriaMetrics runs without its cache of results, as the others have none.
    pub(crate) fn start(&self, config: &Path, directory: &Path) -> anyhow::Result<Server> {
        if self.name != "victoria-metrics" {
            let flags = ["--web.enable-remote-write-receiver", "--web.enable-admin-api"];
            return Server::start_with(&self.program, config, directory, &flags);
        }
        let address = format!("127.0.0.1:{}", process::free_port()?);
        let mut command = Command::new(&self.program);
        command
            .arg(format!("-promscrape.config={}", config.display()))
            .arg(format!("-storageDataPath={}", directory.display()))
            .arg(format!("-httpListenAddr={address}"))
            .args(["-search.disableCache", "-search.latencyOffset=0s", "-loggerLevel=WARN"]);
        Server::spawn(command, address, directory)
    }

    /// Lets what was written be seen by queries: VictoriaMetrics shows it after a while only.
    pub(crate) fn show(&self, server: &Server) -> anyhow::Result<()> {
        if self.name == "victoria-metrics" {
            client::get(&server.address, "/internal/force_flush")?;
        }
        Ok(())
    }

    /// Waits until `server` has done what it does after writes, at most for `within`.
    pub(crate) fn rest(&self, server: &Server, within: Duration) -> anyhow::Result<()> {
        if self.name == "victoria-metrics" {
            client::get(&server.address, "/internal/force_flush")?;
            client::get(&server.address, "/internal/force_merge")?;
        } else {
            std::thread::sleep(SWEEP);
        }
        server.rest(within)
    }
}

/// Figures of several peers as the columns of a Markdown table, with the ratio to ours.
pub(crate) struct Table {
    names: Vec<&'static str>,
    rows: Vec<String>,
}

impl Table {
    /// A table whose columns are `names`, ours first.
    pub(crate) fn new(names: Vec<&'static str>) -> Table {
        Table { names, rows: Vec::new() }
    }

    /// Adds a row of one figure a peer; `None` where a peer has none.
    pub(crate) fn row(&mut self, what: &str, decimals: usize, figures: &[Option<f64>]) {
        let shown = |figure: &Option<f64>| {
            figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.decimals$}"))
        };
        let own = figures.first().copied().flatten();
        let best = figures.iter().skip(1).flatten().copied().reduce(f64::min);
        let ratio = match (own, best) {
            (Some(own), Some(best)) if best != 0.0 => format!("{:.2}", own / best),
            _ => "-".to_owned(),
        };
        let figures: Vec<String> = figures.iter().map(shown).collect();
        self.rows.push(format!("| {what} | {} | {ratio} |", figures.join(" | ")));
    }

    /// Prints it.
    pub(crate) fn print(&self) {
        println!("| | {} | ours / the best peer's |", self.names.join(" | "));
        println!("|---|{}---:|", "---:|".repeat(self.names.len()));
        for row in &self.rows {
            println!("{row}");
        }
    }
}
