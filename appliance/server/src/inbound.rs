//! Inbound: pushed batches on their way to the shards.
//!
//! Path: `api` → **inbound** → the machine's handle.

use std::sync::Arc;

use api::inbound::{Inbound, PushRefused, PushReply, Receivers};
use machine::handle::AskError;
use remote::batch::Batch;
use remote::otlp::translate::OtlpSettings;
use shard::effect::Answer;
use shard::event::Question;

use crate::own_backend::OwnBackend;

/// Groups of batch jobs are stored again no more often.
const RESTAMP_MS_MIN: u64 = 1_000;

impl Inbound for OwnBackend {
    fn receivers(&self) -> Receivers {
        self.receivers
    }

    fn otlp_settings(&self) -> Arc<OtlpSettings> {
        Arc::new(OtlpSettings {
            takes_deltas: self.takes_deltas,
            has_type_labels: self.engine.type_and_unit_labels,
            lookback_ms: self.settings.lookback_ms,
            ..self.state.loaded().otlp.clone()
        })
    }

    fn restamp_ms(&self) -> u64 {
        // A group is never longer without a sample than selectors look back.
        let lookback_ms = u64::try_from(self.settings.lookback_ms).unwrap_or(0);
        self.state.loaded().scrape_interval_ms.min(lookback_ms / 2).max(RESTAMP_MS_MIN)
    }

    fn shards(&self) -> usize {
        self.state.running().map_or(1, |running| running.handle.shards())
    }

    fn push(&self, shard: usize, batch: Batch, reply: PushReply) -> Result<(), PushRefused> {
        let running = self.state.running().ok_or(PushRefused::Gone)?;
        let question = Question::Push(Box::new(batch));
        let asked = running.handle.ask_with(shard, question, move |answer| {
            if let Answer::Pushed(pushed) = answer {
                reply(*pushed);
            }
        });
        asked.map_err(|error| match error {
            AskError::Busy(_) | AskError::Deadline(_) => PushRefused::Busy,
            AskError::Gone(_) => PushRefused::Gone,
        })
    }
}
