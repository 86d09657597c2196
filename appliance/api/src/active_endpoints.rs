//! Endpoints of active queries: the list and the kill.

use model::time::Tick;
use serde::Serialize;

use crate::active::ActiveQuery;
use crate::answer::Answer;
use crate::call::{Call, Context};
use crate::failure::{Failure, Kind};
use crate::timestamp::format_rfc3339;

const NANOS_PER_SECOND: f64 = 1e9;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueryJson<'a> {
    id: u64,
    query: &'a str,
    state: &'static str,
    handler: &'static str,
    method: &'static str,
    client: String,
    start_time: String,
    seconds: f64,
    samples: u64,
    samples_read: u64,
    memory_bytes: u64,
}

/// `GET /api/v1/status/queries`
pub fn queries(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    let now = context.backend.now().tick;
    let list = context.backend.active().list();
    Answer::json(&list.iter().map(|query| shown(query, now)).collect::<Vec<_>>())
}

/// `DELETE /api/v1/status/queries/<id>`: gives the query that was told to end.
pub fn kill(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let id = call.path_part.parse().map_err(|_| {
        let text = model::label_name::quote(&call.path_part);
        Failure::bad_data(format!("{text} is no id of a query: take one of /api/v1/status/queries"))
    })?;
    let killed = context.backend.active().kill(id);
    let query = killed.ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("no query {id} waits, runs or answers"))
    })?;
    Answer::json(&shown(&query, context.backend.now().tick))
}

fn shown(query: &ActiveQuery, now: Tick) -> QueryJson<'_> {
    #[expect(clippy::cast_precision_loss, reason = "2^53 nanoseconds are 104 days")]
    let nanos = now.since(query.received.tick) as f64;
    QueryJson {
        id: query.id,
        query: &query.text,
        state: query.state_text(),
        handler: query.handler,
        method: query.method,
        client: query.client.map(|address| address.to_string()).unwrap_or_default(),
        start_time: format_rfc3339(query.received.wall),
        seconds: nanos / NANOS_PER_SECOND,
        samples: query.meter.samples(),
        samples_read: query.meter.samples_read(),
        memory_bytes: query.meter.bytes(),
    }
}
