//! Fault injection: a closed hook by which tests make operations fail, fall short or wait.

use std::fmt;
use std::sync::Arc;

use rustix::io::Errno;

use crate::operation::Kind;

/// What happens to one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing unusual.
    None,
    /// At most this many bytes are moved.
    Short(usize),
    /// It ends with this error, and nothing is moved.
    Error(Errno),
    /// It does not begin; the hook is asked again each turn.
    Hold,
}

type Hook = dyn Fn(Kind, u64) -> Fault + Send + Sync;

/// Asked before each operation; empty in production.
#[derive(Clone, Default)]
pub struct Faults(Option<Arc<Hook>>);

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Faults(hook)" } else { "Faults(none)" })
    }
}

impl Faults {
    /// Faults that `hook` chooses by kind and token of the operation.
    #[cfg(test)]
    pub(crate) fn new(hook: impl Fn(Kind, u64) -> Fault + Send + Sync + 'static) -> Faults {
        Faults(Some(Arc::new(hook)))
    }

    /// What happens to this operation.
    #[must_use]
    pub fn ask(&self, kind: Kind, token: u64) -> Fault {
        self.0.as_ref().map_or(Fault::None, |hook| hook(kind, token))
    }
}
