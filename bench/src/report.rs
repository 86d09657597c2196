//! The results: every scenario run once in full, each to a dated page under `bench/results`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};

use crate::process;

/// A page and the flags that make it.
struct Page {
    name: &'static str,
    run: &'static [&'static str],
}

const PAGES: &[Page] = &[
    Page { name: "start", run: &["start"] },
    Page { name: "scrape-100k", run: &["scrape"] },
    Page {
        name: "scrape-1m",
        run: &["scrape", "--targets", "1000", "--interval", "15", "--seconds", "90"],
    },
    Page { name: "churn-5", run: &["scrape", "--churn", "5"] },
    Page { name: "churn-100", run: &["scrape", "--churn", "100"] },
    Page { name: "slots", run: &["slots"] },
    Page { name: "reload", run: &["reload"] },
    Page { name: "queries", run: &["queries"] },
    Page { name: "hostile-queries", run: &["hostile_queries"] },
    Page { name: "disk", run: &["disk"] },
    Page { name: "punctual", run: &["punctual"] },
    Page { name: "growth", run: &["growth"] },
    Page { name: "host", run: &["host"] },
    Page { name: "overhead", run: &["overhead"] },
    Page { name: "disturbed", run: &["disturbed"] },
    Page { name: "crash", run: &["crash"] },
    Page { name: "power", run: &["power", "--copies", "50"] },
];

/// Where pages go, from the root of the project.
const RESULTS: &str = "bench/results";

/// Makes the pages named, or all.
///
/// # Errors
/// A page is not known, a scenario fails, or a page cannot be written.
pub(crate) fn run(names: &[&str]) -> anyhow::Result<()> {
    ensure!(Path::new(RESULTS).is_dir(), "no {RESULTS} here: run from the project's root");
    if let Some(name) = names.iter().find(|name| PAGES.iter().all(|page| page.name != **name)) {
        let known: Vec<&str> = PAGES.iter().map(|page| page.name).collect();
        bail!("no page {name:?}; there are: {}", known.join(", "));
    }
    let program = std::env::current_exe().context("find this program")?;
    let mut failed = Vec::new();
    for page in PAGES.iter().filter(|page| names.is_empty() || names.contains(&page.name)) {
        println!("==> {}", page.name);
        let begun = Instant::now();
        let facts = process::machine_facts();
        let output = Command::new(&program)
            .arg("run")
            .args(page.run)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("run the scenario")?;
        let said = String::from_utf8(output.stdout).context("the scenario's words")?;
        print!("{said}");
        if !output.status.success() {
            failed.push(page.name);
            continue;
        }
        let path = format!("{RESULTS}/{}-{}.md", today()?, page.name);
        let text = text(page, &facts, begun.elapsed().as_secs(), &said);
        std::fs::write(&path, text).with_context(|| format!("write {path}"))?;
        println!("written: {path}");
    }
    ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn text(page: &Page, facts: &str, seconds: u64, said: &str) -> String {
    let mut text = format!("# {}\n\n", page.name);
    let _ = writeln!(text, "    cargo run --release -p bench -- run {}\n", page.run.join(" "));
    let _ = writeln!(text, "{facts}; took {seconds} s.\n");
    // A table needs an empty line before it.
    let mut in_table = false;
    for line in said.lines().filter(|line| !line.starts_with("# ")) {
        if line.starts_with('|') != in_table {
            text.push('\n');
            in_table = !in_table;
        }
        let _ = writeln!(text, "{line}{}", if in_table { "" } else { "  " });
    }
    text
}

/// Year, month and day as the system's `date` says.
fn today() -> anyhow::Result<String> {
    let output = Command::new("date").arg("+%F").output().context("ask the date")?;
    Ok(String::from_utf8(output.stdout).context("the date")?.trim().to_owned())
}
