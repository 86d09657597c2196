//! Sorted windows: the floats of a moving window in order, for its quantiles.
//!
//! A quantile is made of one or two floats of the window, whichever way they are found.

use crate::evaluate::quantile::{between, nan_first, quantile, rank_of};
use crate::evaluate::windowed::Windowed;

/// A float that enters or leaves a sorted window moves half of it, a fraction of a nanosecond each;
/// one that is selected anew costs several: carrying pays where less than this part moves.
const MOVED_PART: usize = 16;

/// The floats of the window before in order, or memory to select from.
pub(crate) struct Sorted {
    values: Vec<f64>,
    /// The window whose floats stand in `values`.
    window: (usize, usize),
    carries: bool,
}

impl Sorted {
    /// An empty window of `series`.
    pub(crate) fn new(series: &Windowed<'_>) -> Sorted {
        let (mut moved, mut held, mut before) = (0, 0, (0, 0));
        for step in series.steps() {
            let window = series.floats.get(step);
            moved += window.0 - before.0 + (window.1 - before.1);
            held += window.1 - window.0;
            before = window;
        }
        Sorted { values: Vec::new(), window: (0, 0), carries: moved <= held / MOVED_PART }
    }

    /// The quantile `q` of the floats `values[window]`, which is not empty; windows do not move
    /// back from one call to the next.
    pub(crate) fn quantile(&mut self, q: f64, values: &[f64], window: (usize, usize)) -> f64 {
        if !self.carries {
            self.values.clear();
            self.values.extend_from_slice(&values[window.0..window.1]);
            return quantile(q, &mut self.values);
        }
        self.move_to(values, window);
        if !(0.0..=1.0).contains(&q) {
            return quantile(q, &mut self.values[..1]);
        }
        let (lower, weight) = rank_of(q, self.values.len());
        let low = self.values[lower];
        let high = self.values.get(lower + 1).copied().unwrap_or(low);
        between(low, high, weight)
    }

    fn move_to(&mut self, values: &[f64], window: (usize, usize)) {
        let (from, to) = self.window;
        self.window = window;
        if to <= window.0 {
            self.values.clear();
            self.values.extend_from_slice(&values[window.0..window.1]);
            self.values.sort_unstable_by(nan_first);
            return;
        }
        for value in &values[from..window.0] {
            // Equal floats are one as good as the other.
            if let Ok(at) = self.values.binary_search_by(|known| nan_first(known, value)) {
                self.values.remove(at);
            }
        }
        for value in &values[to..window.1] {
            let at = self.values.partition_point(|known| nan_first(known, value).is_lt());
            self.values.insert(at, *value);
        }
    }
}
