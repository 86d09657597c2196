//! Queries that ask for everything at once, while a large fleet is scraped: each is refused in
//! words or answered within its deadline, memory keeps its bound, and scrapes keep their slots.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::behaviour::Behaviour;
use crate::client::{self, percent_encode};
use crate::config::{Job, Target, write_config};
use crate::flags::Flags;
use crate::fleet::Fleet;
use crate::lateness::{LATE, Lateness};
use crate::process::{self, Server};
use crate::serve::{Targets, now_ms};

const INTERVAL_SECONDS: u64 = 15;
/// Deadline of a query.
const TIMEOUT_SECONDS: u64 = 20;
/// What a deadline may be passed by: the last batch, and a client on the same cores.
const GRACE: Duration = Duration::from_secs(10);
/// The latest that one scrape in a thousand may begin while queries do their worst.
const LATENESS_SECONDS_MAX: f64 = 0.6;
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// A query, and what its refusal says; nothing where it may be answered.
struct Hostile {
    name: &'static str,
    text: String,
    /// Seconds and step of a range; 0 of an instant query.
    range: (u64, &'static str),
}

/// Runs the scenario.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["targets", "series"])?;
    let count = flags.number("targets", 1_000);
    let series = usize::try_from(flags.number("series", 1_000)).context("--series is too much")?;
    let targets = Targets::start(Fleet::mixed(series))?;
    let address = targets.address.to_string();
    let folder = tempfile::tempdir().context("make a folder")?;
    let job = Job {
        name: "bench".to_owned(),
        interval_seconds: INTERVAL_SECONDS,
        timeout_seconds: INTERVAL_SECONDS - 1,
        targets: (0..count).map(|k| Target::new(&address, Behaviour::Healthy, k)).collect(),
    };
    let config = write_config(folder.path(), &[job])?;
    let timeout = format!("--query.timeout={TIMEOUT_SECONDS}s");
    let program = process::cresset()?;
    let directory = folder.path().join("data");
    let server = Server::start_with(&program, &config, &directory, &[&timeout])?;
    println!("{count} targets of {series} series every {INTERVAL_SECONDS} s");
    std::thread::sleep(Duration::from_secs(3 * INTERVAL_SECONDS));
    let idle = Lateness::read(&server.address, LATE)?;
    std::thread::sleep(Duration::from_secs(2 * INTERVAL_SECONDS));
    let before = Lateness::read(&server.address, LATE)?;
    let quiet_bytes = server.usage()?.peak_bytes;
    println!("without queries: {}", before.since(&idle).text());
    for hostile in list() {
        ask(&server, &hostile)?;
    }
    let passed = Lateness::read(&server.address, LATE)?.since(&before);
    let usage = server.usage()?;
    println!("with queries: {}", passed.text());
    println!(
        "resident at most {} MiB before the queries, {} MiB after",
        quiet_bytes >> 20,
        usage.peak_bytes >> 20
    );
    ensure!(
        passed.quantile(0.999) <= LATENESS_SECONDS_MAX,
        "one scrape in a thousand begins later than {LATENESS_SECONDS_MAX} s"
    );
    let up = client::query_one(&server.address, "sum(up)")?.unwrap_or(0.0);
    ensure!((up - count as f64).abs() < 0.5, "{up} of {count} targets are up");
    server.stop()
}

fn list() -> Vec<Hostile> {
    let of = |name, text: &str, range| Hostile { name, text: text.to_owned(), range };
    vec![
        of("everything", "{__name__=~\".+\"}", (0, "")),
        of("everything, over a range", "{__name__=~\".+\"}", (3_600, "1")),
        of("all samples", "sum_over_time({__name__=~\".+\"}[1h])", (3_600, "1")),
        of("sort of everything", "sort_desc({__name__=~\".+\"})", (0, "")),
        of(
            "nested subqueries",
            "max_over_time(sum_over_time(rate(bench_events_total_3[1m])[1h:1ms])[1h:1ms])",
            (0, ""),
        ),
        of("ten million steps", "bench_clock_ms", (10_000_000, "1")),
        of("ten million inner steps", "count_over_time(bench_clock_ms[10000s:1ms])", (0, "")),
        of("cross join", "{__name__=~\".+\"} + on () group_left () {__name__=~\".+\"}", (0, "")),
        of("many to many", "{__name__=~\".+\"} * ignoring (device) {__name__=~\".+\"}", (0, "")),
        of("unique values", "count_values(\"value\", {__name__=~\".+\"})", (3_600, "1")),
        of(
            "unique labels",
            "label_join({__name__=~'.+'}, 'all', '-', '__name__', 'target', 'device', 'mode')",
            (3_600, "15"),
        ),
        of("regular expression", "{__name__=~\"(.*a){1000}(.*b){1000}\"}", (0, "")),
        of(
            "regular expressions",
            "{__name__=~\"((((.*)*)*)*)*x\",device=~\"(a|aa|aaa|.*)+y\"}",
            (0, ""),
        ),
        Hostile {
            name: "5,000 parentheses",
            text: format!("{}1{}", "(".repeat(5_000), ")".repeat(5_000)),
            range: (0, ""),
        },
        Hostile { name: "1 MB of text", text: "1-".repeat(500_000) + "1", range: (0, "") },
        Hostile {
            name: "5,000 selectors",
            text: vec!["{__name__=~\".+\"}"; 5_000].join(" or "),
            range: (0, ""),
        },
    ]
}

/// Asks one query and judges what came of it.
fn ask(server: &Server, hostile: &Hostile) -> anyhow::Result<()> {
    let (seconds, step) = hostile.range;
    let text = percent_encode(&hostile.text);
    let end = now_ms() / 1_000;
    let (path, form) = if seconds == 0 {
        ("/api/v1/query", format!("query={text}&limit=10"))
    } else {
        let start = end - seconds;
        let form = format!("query={text}&start={start}&end={end}&step={step}&limit=10");
        ("/api/v1/query_range", form)
    };
    let asked = Instant::now();
    let answer = client::post(&server.address, path, FORM, form.as_bytes())
        .with_context(|| format!("ask {}", hostile.name))?;
    let took = asked.elapsed();
    let json: Value = serde_json::from_str(&answer.body)
        .with_context(|| format!("{}: {} {:.200}", hostile.name, answer.status, answer.body))?;
    let said = json["error"].as_str().unwrap_or("answered");
    println!("{:26} {:4} {:7.3} s  {:.120}", hostile.name, answer.status, took.as_secs_f64(), said);
    ensure!(took <= Duration::from_secs(TIMEOUT_SECONDS) + GRACE, "{} took {took:?}", hostile.name);
    let refused = json["status"] == "error" && !said.is_empty();
    ensure!(refused || answer.status == 200, "{}: {}", hostile.name, answer.body);
    Ok(())
}
