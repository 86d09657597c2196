//! How a tool ended.

/// How a tool ended, but for faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// All is well.
    Well,
    /// Something was judged that may be better: upstream's exit code 3.
    Linted,
    /// Something is wrong, and was told.
    Failed,
}
