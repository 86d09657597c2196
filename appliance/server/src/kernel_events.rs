//! Kernel events: the thread that owns the programs in the kernel and answers what they counted.
//!
//! Path: `boot` starts it before any other thread → **kernel events** → `own_backend`, the
//! machine's pacer, the log.
//! Owns: CAP_BPF and CAP_PERFMON while it loads; afterwards no thread of the process has them.
//! Never: fails the server; what is missing is said once in the log and in a metric.

use std::time::Duration;

use anyhow::Context as _;
use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded};
use ebpf::collector::Collector;
use ebpf::loader::{Loaded, Reason};
use exposition::metrics::Collected;
use machine::pressure::{Counter, Pressure, Watched};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

/// Questions that wait for the thread.
const QUESTIONS_MAX: usize = 8;
/// Longest wait for an answer: reading all maps takes milliseconds, loading half a second.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest wait for what the machine feels: a third of the pacer's window.
const PRESSURE_TIMEOUT: Duration = Duration::from_millis(70);
/// Name of the source in metrics.
const SOURCE: &str = "ebpf";
/// How often kills for want of memory are looked for.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

enum Question {
    Metrics(Sender<Collected>),
    Pressure(Watched, Sender<ebpf::pressure::Pressure>),
}

/// Asks the thread.
#[derive(Clone, Debug)]
pub struct KernelEvents {
    questions: Sender<Question>,
}

impl KernelEvents {
    /// Loads `collectors` on a thread of its own and takes the capabilities for it away from the
    /// calling thread, and so from every thread that it starts later.
    ///
    /// # Errors
    /// The thread could not be started.
    pub fn start(collectors: Vec<Collector>) -> anyhow::Result<KernelEvents> {
        let (questions, asked) = bounded(QUESTIONS_MAX);
        let builder = std::thread::Builder::new().name("kernel-events".to_owned());
        builder.spawn(move || run(&collectors, &asked)).context("start the kernel's thread")?;
        give_up_capabilities();
        Ok(KernelEvents { questions })
    }

    /// Adds what was counted; nothing when the thread does not answer in time.
    pub fn collect(&self, into: &mut Collected) {
        let (answer, answered) = bounded(1);
        if self.questions.try_send(Question::Metrics(answer)).is_err() {
            tracing::warn!("kernel events are missing: too many ask at once");
            return;
        }
        match answered.recv_timeout(ANSWER_TIMEOUT) {
            Ok(collected) => into.merge(&collected),
            Err(error) => tracing::warn!(%error, "kernel events are missing"),
        }
    }

    /// What was counted of `watched`; nothing when the thread does not answer in time.
    #[must_use]
    pub fn pressure(&self, watched: &Watched) -> Pressure {
        if !self.questions.is_empty() {
            // Others wait already, or the programs are being loaded: those are not kept out.
            return Pressure::default();
        }
        let (answer, answered) = bounded(1);
        let _ = self.questions.try_send(Question::Pressure(watched.clone(), answer));
        let counted = answered.recv_timeout(PRESSURE_TIMEOUT).unwrap_or_default();
        let counter = |value| Counter { source: SOURCE, value };
        Pressure {
            waiting_nanos: counted.waiting_nanos.map(counter),
            interrupt_nanos: counted.interrupt_nanos.map(counter),
            requests: counted.requests.map(|value| Counter { source: SOURCE, value }),
        }
    }
}

fn run(collectors: &[Collector], asked: &Receiver<Question>) {
    let mut loaded = Loaded::new(collectors);
    // The kernel's types were parsed for it, some 25 MB, and are gone.
    machine::heap::trim();
    give_up_capabilities();
    report(&loaded);
    loop {
        match asked.recv_timeout(LOOK_INTERVAL) {
            // Whoever asked may have given up.
            Ok(Question::Pressure(watched, answer)) => {
                let _ = answer.try_send(loaded.pressure(&watched.cpus, watched.device));
            }
            Ok(Question::Metrics(answer)) => {
                let mut collected = Collected::default();
                loaded.collect(&mut collected);
                let _ = answer.try_send(collected);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        for (kill, cgroup) in loaded.kills() {
            let (pid, process) = (kill.pid, kill.comm);
            tracing::warn!(pid, process, cgroup, "the kernel killed a process: out of memory");
        }
    }
}

fn report(loaded: &Loaded) {
    let (there, missing): (Vec<_>, Vec<_>) =
        loaded.statuses().iter().partition(|status| status.reason == Reason::Ok);
    let names: Vec<&str> = there.iter().map(|status| status.collector.name()).collect();
    tracing::info!(collectors = names.join(","), "counting kernel events");
    for status in there {
        for (program, reason) in &status.missing {
            let collector = status.collector.name();
            tracing::info!(collector, program, %reason, "this kernel does not count an event");
        }
    }
    let Some(first) = missing.first() else { return };
    let names: Vec<&str> = missing.iter().map(|status| status.collector.name()).collect();
    let remedy = match first.reason {
        Reason::NoCapability => "grant CAP_BPF and CAP_PERFMON, as systemd/cresset.service does",
        Reason::NoBtf => "use a kernel with CONFIG_DEBUG_INFO_BTF",
        Reason::Lockdown => "leave lockdown's confidentiality mode",
        _ => "update the kernel",
    };
    let (collectors, reason, detail) = (names.join(","), first.reason, &first.detail);
    tracing::info!(collectors, %reason, detail, remedy, "kernel events are not counted");
}

/// A thread keeps its capabilities to itself and gives them to those it starts.
fn give_up_capabilities() {
    let wanted = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let Ok(held) = capabilities(None) else { return };
    let without = CapabilitySets {
        effective: held.effective - wanted,
        permitted: held.permitted - wanted,
        inheritable: held.inheritable - wanted,
    };
    if let Err(error) = set_capabilities(None, without) {
        tracing::warn!(%error, "capabilities stay: they could not be given up");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_collector_says_whether_it_counts() {
        let events = KernelEvents::start(Collector::DEFAULT.to_vec()).unwrap();
        let mut collected = Collected::default();
        events.collect(&mut collected);
        let text = collected.to_text();
        for collector in Collector::DEFAULT {
            let start = format!(
                "cresset_host_collector_available{{collector=\"{}\",reason=",
                collector.name()
            );
            assert!(text.contains(&start), "{start} in {text}");
        }
        let held = capabilities(None).unwrap();
        assert!(!held.effective.intersects(CapabilitySet::BPF | CapabilitySet::PERFMON));
    }
}
