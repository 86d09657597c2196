//! Grid: the times at which an expression is evaluated.

/// `count` times from `start_ms`, `step_ms` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// First time.
    pub start_ms: i64,
    /// Milliseconds between times; positive.
    pub step_ms: i64,
    /// Number of times; 0 where a subquery has none.
    pub count: usize,
}

impl Grid {
    /// The grid from `start_ms` to at most `end_ms`.
    #[must_use]
    pub fn new(start_ms: i64, end_ms: i64, step_ms: i64) -> Grid {
        assert!(0 < step_ms, "a grid's step is positive, not {step_ms}");
        let span = i128::from(end_ms) - i128::from(start_ms);
        let count = if span < 0 { 0 } else { span / i128::from(step_ms) + 1 };
        Grid { start_ms, step_ms, count: usize::try_from(count).unwrap_or(usize::MAX) }
    }

    /// The grid of one time.
    #[must_use]
    pub fn instant(time_ms: i64) -> Grid {
        Grid { start_ms: time_ms, step_ms: 1, count: 1 }
    }

    /// Time `index`; held at the ends of 64 bits.
    #[must_use]
    pub fn time_ms(&self, index: usize) -> i64 {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        self.start_ms.saturating_add(self.step_ms.saturating_mul(index))
    }

    /// The last time; the first where there is none.
    #[must_use]
    pub fn last_ms(&self) -> i64 {
        self.time_ms(self.count.saturating_sub(1))
    }

    /// Whether there is but one time.
    #[must_use]
    pub fn is_instant(&self) -> bool {
        self.count == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grid_counts_both_ends() {
        assert_eq!(Grid::new(0, 30, 10).count, 4);
        assert_eq!(Grid::new(0, 39, 10).last_ms(), 30);
        assert_eq!(Grid::new(10, 0, 10).count, 0);
        assert!(Grid::instant(5).is_instant());
    }
}
