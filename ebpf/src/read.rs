//! Reads each collector's maps into metrics.

pub(crate) mod block;
pub(crate) mod irq;
pub(crate) mod mm;
pub(crate) mod sched;
pub(crate) mod tcp;
pub(crate) mod calls;
