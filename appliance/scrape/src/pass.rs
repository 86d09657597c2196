//! Pass: what the handling of one event needs besides the target.

use model::time::Now;
use storage::effect::{Effect, LogPosition};
use storage::store::Store;

use crate::exemplars::Exemplars;
use crate::metrics::Counters;
use crate::notice::Notices;
use crate::options::Options;

/// The surroundings of one event.
pub struct Pass<'a> {
    /// When it is handled.
    pub now: Now,
    /// Settings.
    pub options: &'a Options,
    /// Where rows go.
    pub store: &'a mut Store,
    /// Where exemplars go.
    pub exemplars: &'a mut Exemplars,
    /// What logs are to say.
    pub notices: &'a mut Notices,
    /// What is counted.
    pub counters: &'a mut Counters,
    /// Position of the newest row.
    pub position: &'a mut LogPosition,
    /// What storage asks for.
    pub effects: &'a mut Vec<Effect>,
}
