//! Supervisor: what systemd is told, and the watchdog that speaks only while every shard turns.

use std::time::Duration;

use machine::handle::Handle;
use model::time::{Now, Tick, TimestampMs};
use sd_notify::NotifyState;
use shard::event::Question;
use storage::selection::LabelRequest;

/// Time that recovery asks for whenever it got further, microseconds: many looks of it.
const PROGRESS_US: u32 = 60_000_000;

/// Tells systemd, if it runs us. Without it, or when it does not listen, nothing is lost.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

/// Recovery got further: it may take longer than the unit says.
pub fn progressing() {
    tell(&[NotifyState::ExtendTimeoutUsec(PROGRESS_US)]);
}

/// The server answers.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// The configuration is being read again; `ready` follows.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// The process ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Pings systemd's watchdog, as long as every shard has turned since the last ping.
#[derive(Debug)]
pub struct Watchdog {
    interval_ms: u64,
    next: Tick,
    turns: Vec<u64>,
}

impl Watchdog {
    /// The watchdog that systemd asks for, pinged twice in its time; `None` without one.
    #[must_use]
    pub fn new(now: Now) -> Option<Watchdog> {
        let limit: Duration = sd_notify::watchdog_enabled()?;
        let interval_ms = u64::try_from(limit.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        Some(Watchdog { interval_ms, next: now.tick, turns: Vec::new() })
    }

    /// Pings when it is time. Each shard is asked a question of no cost, so that one without work
    /// turns too.
    pub fn poll(&mut self, now: Now, handle: &Handle) {
        if now.tick < self.next {
            return;
        }
        self.next = now.tick.after_ms(self.interval_ms);
        let turns = handle.turns();
        let is_first = self.turns.is_empty();
        let stuck = turns.iter().zip(&self.turns).position(|(new, old)| new == old);
        match stuck {
            Some(shard) if !is_first => {
                tracing::error!(shard, "a shard does not turn: the watchdog is not pinged");
            }
            _ => tell(&[NotifyState::Watchdog]),
        }
        self.turns = turns;
        for shard in 0..handle.shards() {
            // A shard whose queue is full has turns to make.
            let _ = handle.ask_with(shard, nothing(), drop);
        }
    }
}

/// The values of a label that no series has.
fn nothing() -> Question {
    Question::LabelValues {
        name: String::new(),
        wanted: LabelRequest {
            matcher_sets: Vec::new(),
            from: TimestampMs::MAX,
            to: TimestampMs::MAX,
        },
    }
}
