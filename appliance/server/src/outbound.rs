//! Outbound: what other servers may read of this one.
//!
//! Path: `api` → **outbound** → `state`.

use api::outbound::{Outbound, ReadLimits};
use model::label_set::LabelSet;

use crate::own_backend::OwnBackend;

impl Outbound for OwnBackend {
    fn external_labels(&self) -> LabelSet {
        self.state.loaded().external_labels.clone()
    }

    fn read_limits(&self) -> ReadLimits {
        self.read_limits
    }
}
