//! `info`: series enriched by the labels of info metrics.

use crate::evaluate::column::StepVector;
use crate::evaluate::fault::Fault;

/// Refuses.
pub(crate) fn refuse() -> Result<StepVector, Fault> {
    Err(Fault::execution("info() is not implemented yet"))
}
