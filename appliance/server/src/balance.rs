//! Balance: moves targets from a shard that is busy to one that is not.
//!
//! Path: `target_thread` looks now and then → **balance** → `Question::Release`, `Adopt`.
//! Never: moves for a moment's load; gives a target to two shards: lists of targets and moves come
//! from one thread, in order.

use std::time::Duration;

use machine::handle::Handle;
use machine::placement::Placement;
use model::time::Tick;
use scrape::handover::{Handed, Handover, Share};
use shard::effect::Answer;
use shard::event::Question;
use tokio::sync::oneshot;

/// Between two looks.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Part of its time that a shard works, from which it is overloaded: its slots begin to wait for
/// each other well before it has no time left.
const BUSY_MIN: f64 = 0.5;
/// How much busier than the idlest it must be, so that moves do not go to and fro.
const GAP_MIN: f64 = 0.2;
/// Looks in a row that must find it so.
const LOOKS_MIN: u32 = 3;
/// Series handed over at once: a few milliseconds of either shard.
const SERIES_MAX: usize = 10_000;
/// Handovers of one move.
const STEPS_MAX: u32 = 64;
/// Longest wait for a shard, which answers between two events; one that takes this long is broken.
const ASK_TIMEOUT: Duration = Duration::from_secs(30);

/// A move that is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Move {
    /// The busiest shard.
    pub from: usize,
    /// The idlest.
    pub to: usize,
    /// Part of the load of `from` that is to go.
    pub part: f64,
    /// Parts of their time that the two work.
    pub busy: (f64, f64),
}

/// What came of a move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Targets moved.
    pub targets: usize,
    /// Their series.
    pub series: usize,
    /// Whether a target may be nowhere, so that all shards must be told theirs again.
    pub is_torn: bool,
}

/// What is remembered between looks.
#[derive(Debug, Default)]
pub struct Balance {
    last: Option<(Tick, Vec<u64>)>,
    looks: u32,
}

impl Balance {
    /// Takes the nanoseconds that each shard has worked so far; gives the move that is wanted.
    pub fn look(&mut self, now: Tick, worked: &[u64]) -> Option<Move> {
        let before = self.last.replace((now, worked.to_vec()));
        let (began, before) = before.filter(|(_, before)| before.len() == worked.len())?;
        let passed = float(now.since(began)).max(1.0);
        let part = |(now, before): (&u64, &u64)| float(now.saturating_sub(*before)) / passed;
        let busy: Vec<f64> = worked.iter().zip(&before).map(part).collect();
        let by_load = |a: &usize, b: &usize| busy[*a].total_cmp(&busy[*b]);
        let from = (0..busy.len()).max_by(by_load)?;
        let to = (0..busy.len()).min_by(by_load)?;
        let gap = busy[from] - busy[to];
        let is_overloaded = BUSY_MIN <= busy[from] && GAP_MIN <= gap;
        self.looks = if is_overloaded { self.looks + 1 } else { 0 };
        if self.looks < LOOKS_MIN {
            return None;
        }
        self.looks = 0;
        Some(Move { from, to, part: gap / 2.0 / busy[from], busy: (busy[from], busy[to]) })
    }
}

/// Moves targets as `wanted` says, and remembers in `placement` where they are.
pub async fn perform(handle: &Handle, placement: &mut Placement, wanted: Move) -> Moved {
    let mut moved = Moved::default();
    let mut left = wanted.part;
    for _ in 0..STEPS_MAX {
        let share = Share { part: left, series_max: SERIES_MAX };
        let Ok(Answer::Released(handed)) = ask(handle, wanted.from, Question::Release(share)).await
        else {
            break;
        };
        let part = handed.part;
        if handed.targets.is_empty() {
            break;
        }
        if !step(handle, placement, wanted, *handed, &mut moved).await {
            break;
        }
        left -= part;
        if left <= 0.0 {
            break;
        }
    }
    moved
}

/// Gives what was handed over to the shard that is to have it, or back; false when no more can
/// be.
async fn step(
    handle: &Handle,
    placement: &mut Placement,
    wanted: Move,
    handed: Handed,
    moved: &mut Moved,
) -> bool {
    let series = |targets: &[Handover]| targets.iter().map(|target| target.series.len()).sum();
    let (count, total): (usize, usize) = (handed.targets.len(), series(&handed.targets));
    let shards = handle.shards();
    for target in &handed.targets {
        placement.put(target.spec.identity().0, wanted.to, shards);
    }
    let given = Question::Adopt(handed.targets.clone());
    let back = match ask(handle, wanted.to, given).await {
        Ok(Answer::Adopted(refused)) => refused,
        // It may take them yet: the list that all are given then makes that harmless.
        Ok(_) | Err(Unanswered::Late) => {
            moved.is_torn = true;
            return false;
        }
        Err(Unanswered::Refused) => handed.targets,
    };
    moved.targets += count - back.len();
    moved.series += total - series(&back);
    if back.is_empty() {
        return true;
    }
    for target in &back {
        placement.put(target.spec.identity().0, wanted.from, shards);
    }
    let returned = ask(handle, wanted.from, Question::Adopt(back)).await;
    moved.is_torn |= !matches!(returned, Ok(Answer::Adopted(refused)) if refused.is_empty());
    false
}

/// Why a shard gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unanswered {
    /// The question was not taken.
    Refused,
    /// It was, but no answer came in time.
    Late,
}

async fn ask(handle: &Handle, shard: usize, question: Question) -> Result<Answer, Unanswered> {
    let (sender, receiver) = oneshot::channel();
    let asked = handle.ask_with(shard, question, move |answer| {
        // Whoever asked may have given up.
        let _ = sender.send(answer);
    });
    asked.map_err(|_| Unanswered::Refused)?;
    let answer = tokio::time::timeout(ASK_TIMEOUT, receiver).await;
    answer.ok().and_then(Result::ok).ok_or(Unanswered::Late)
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds below 2^53 are 104 days")]
fn float(nanos: u64) -> f64 {
    nanos as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Looks at tenths of each ten seconds; the moves that are wanted.
    #[track_caller]
    fn check(looks: &[[u64; 3]], expected: &[Option<(usize, usize)>]) {
        let mut balance = Balance::default();
        let mut worked = [0u64; 3];
        balance.look(Tick(0), &worked);
        let mut found = Vec::new();
        for (at, busy) in (1u64..).zip(looks) {
            for (worked, busy) in worked.iter_mut().zip(busy) {
                *worked += busy * SECOND;
            }
            let wanted = balance.look(Tick(at * 10 * SECOND), &worked);
            found.push(wanted.map(|wanted| (wanted.from, wanted.to)));
        }
        assert_eq!(found, expected);
    }

    #[test]
    fn only_lasting_overload_beside_an_idle_shard_moves_targets() {
        let (hot, even) = ([2, 9, 4], [8, 9, 8]);
        check(&[hot, hot, hot, hot], &[None, None, Some((1, 0)), None]);
        check(&[hot, hot, even, hot, hot, hot], &[None, None, None, None, None, Some((1, 0))]);
        check(&[even; 5], &[None; 5]);
        check(&[[0, 4, 0]; 5], &[None; 5]);
    }

    #[test]
    fn half_of_the_gap_is_moved() {
        let mut balance = Balance::default();
        for at in 0..3 {
            assert_eq!(balance.look(Tick(at * 10 * SECOND), &[at * 8 * SECOND, 0]), None);
        }
        let wanted = balance.look(Tick(30 * SECOND), &[24 * SECOND, 0]).expect("a move");
        assert_eq!((wanted.from, wanted.to), (0, 1));
        assert!((wanted.part - 0.5).abs() < 1e-9 && (wanted.busy.0 - 0.8).abs() < 1e-9);
    }
}
