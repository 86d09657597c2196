//! What the programs in the kernel cost: each by the kernel's own statistics, and what they count
//! with and without them: context switches, direct I/O, system calls.

use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::Context as _;
use ebpf::collector::Collector;
use ebpf::loader::{Loaded, count_runs};
use exposition::metrics::Collected;
use rustix::io::{read, write};
use rustix::pipe::pipe;

use crate::disturbance::{Aligned, bind, direct, nanos_each};
use crate::flags::Flags;

/// What a run cost where the programs were designed (kernel 6.18, a virtual machine of two
/// processors), nanoseconds by the kernel's statistics, the 53 of the statistics themselves in it.
const DESIGNED: [(&str, f64, f64); 5] = [
    ("sched_switch", 242.0, 250.0),
    ("sched_wakeup", 133.0, 158.0),
    ("block_rq_complete", 200.0, 340.0),
    ("softirq_entry", 180.0, 180.0),
    ("softirq_exit", 200.0, 200.0),
];
/// Bytes of one direct write.
const BLOCK_BYTES: usize = 4096;
const FILE_BLOCKS: u64 = 4096;

/// Measures all three kinds of work, in turn with and without programs.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["rounds", "switches", "writes", "calls"])?;
    let rounds = flags.number("rounds", 5);
    let (switches, writes) = (flags.number("switches", 100_000), flags.number("writes", 5_000));
    let calls = flags.number("calls", 1_000_000);
    println!("| work | without | with | difference | programs |\n|---|---:|---:|---:|---|");
    compare("round trip of two threads on one processor", rounds, &[Collector::Sched], || {
        ping_pong(switches)
    })?;
    compare("direct write of 4 KiB", rounds, &[Collector::Block], || write_directly(writes))?;
    compare("the same", rounds, &Collector::DEFAULT, || write_directly(writes))?;
    compare("getppid", rounds, &Collector::DEFAULT, || get_parent(calls))?;
    compare("getppid", rounds, &[Collector::Sys], || get_parent(calls))?;
    programs(switches, writes)
}

/// Prints the medians of `rounds` runs of `work` without and with `collectors`, in turn.
fn compare(
    what: &str,
    rounds: u64,
    collectors: &[Collector],
    work: impl Fn() -> anyhow::Result<f64>,
) -> anyhow::Result<()> {
    let names: Vec<&str> = collectors.iter().map(|collector| collector.name()).collect();
    let names = names.join(", ");
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        without.push(work()?);
        let loaded = Loaded::new(collectors);
        if let Some(status) = loaded.statuses().iter().find(|status| !status.detail.is_empty()) {
            println!("skipped: {what}, {names}: {} {}", status.reason, status.detail);
            return Ok(());
        }
        with.push(work()?);
    }
    let (without, with) = (median(without), median(with));
    println!(
        "| {what} | {without:.0} ns | {with:.0} ns | {:+.0} ns, {:+.1} % | {names} |",
        with - without,
        (with / without - 1.0) * 100.0
    );
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Two threads of one processor that wake each other.
fn ping_pong(trips: u64) -> anyhow::Result<f64> {
    let (here, there) = (pipe().context("make a pipe")?, pipe().context("make a pipe")?);
    let (from, to): (OwnedFd, OwnedFd) = (here.0, there.1);
    let echo = std::thread::spawn(move || -> anyhow::Result<()> {
        bind(0)?;
        let mut byte = [0];
        while read(&from, &mut byte)? == 1 {
            write(&to, &byte)?;
        }
        Ok(())
    });
    let measured = std::thread::spawn(move || -> anyhow::Result<f64> {
        bind(0)?;
        let mut byte = [0];
        nanos_each(trips, |_| {
            write(&here.1, &[1])?;
            read(&there.0, &mut byte)?;
            Ok(())
        })
    });
    let nanos = measured.join().map_err(|_| anyhow::anyhow!("a thread died"))??;
    echo.join().map_err(|_| anyhow::anyhow!("a thread died"))??;
    Ok(nanos)
}

fn write_directly(writes: u64) -> anyhow::Result<f64> {
    let folder = tempfile::tempdir_in(std::env::current_dir()?).context("make a folder")?;
    let file = direct(&folder.path().join("direct"))?;
    let mut block = Aligned::new(BLOCK_BYTES);
    nanos_each(FILE_BLOCKS, |at| block.write(&file, at * BLOCK_BYTES as u64))?;
    nanos_each(writes, |at| block.write(&file, at % FILE_BLOCKS * BLOCK_BYTES as u64))
}

fn get_parent(calls: u64) -> anyhow::Result<f64> {
    nanos_each(calls, |_| {
        std::hint::black_box(rustix::process::getppid());
        Ok(())
    })
}

/// Prints what each program cost by the kernel's statistics while all kinds of work were done.
fn programs(switches: u64, writes: u64) -> anyhow::Result<()> {
    let _counting = match count_runs() {
        Ok(counting) => counting,
        Err(error) => {
            println!("skipped: the kernel does not count runs: {error}");
            return Ok(());
        }
    };
    let mut loaded = Loaded::new(&Collector::DEFAULT);
    ping_pong(switches)?;
    write_directly(writes)?;
    std::thread::sleep(Duration::from_secs(1));
    let mut collected = Collected::default();
    loaded.collect(&mut collected);
    let page = collected.to_text();
    println!("\n| program | runs | ns a run | designed |\n|---|---:|---:|---|");
    for (name, runs) in samples(&page, "ebpf_program_runs_total") {
        let seconds = samples(&page, "ebpf_program_run_seconds_total");
        let seconds = seconds.iter().find(|(other, _)| *other == name);
        let nanos = seconds.map_or(0.0, |(_, seconds)| seconds * 1e9 / runs);
        let designed = DESIGNED.iter().find(|(other, ..)| *other == name);
        let judged = designed.map_or(String::new(), |(_, from, to)| {
            let within = 0.8 * from <= nanos && nanos <= 1.2 * to;
            format!("{from} to {to}: {}", if within { "within 20 %" } else { "not within 20 %" })
        });
        println!("| {name} | {runs} | {nanos:.0} | {judged} |");
    }
    Ok(())
}

/// Programs and values of a family of the page.
fn samples(page: &str, family: &str) -> Vec<(String, f64)> {
    let start = format!("{family}{{program=\"");
    let lines = page.lines().filter_map(|line| line.strip_prefix(&start)?.split_once("\"} "));
    lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
}
