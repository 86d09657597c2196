//! Endpoints that change what is stored: `admin/tsdb/*`. Off unless a flag allows them.

use crate::answer::Answer;
use crate::call::{Call, Context};
use crate::failure::{Failure, Kind};
use crate::parameters::parse_bool;
use crate::selector::parse_selector;

fn check_allowed(context: &Context) -> Result<(), Failure> {
    if context.backend.settings().admin {
        return Ok(());
    }
    Err(Failure::new(Kind::Unavailable, "admin APIs disabled"))
}

fn internal(reason: String) -> Failure {
    Failure::new(Kind::Internal, reason)
}

/// `/api/v1/admin/tsdb/delete_series`
pub fn delete_series(context: &Context, call: &Call) -> Result<Answer, Failure> {
    check_allowed(context)?;
    if call.parameters.all("match[]").next().is_none() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let (from, to) = call.range()?;
    let sets = call.parameters.all("match[]").map(parse_selector).collect::<Result<Vec<_>, _>>();
    let sets = sets.map_err(|error| Failure::parameter("match[]", error))?;
    for matchers in sets {
        context.backend.delete_series(matchers, from, to).map_err(internal)?;
    }
    Ok(Answer::status_text(204, ""))
}

/// `/api/v1/admin/tsdb/clean_tombstones`
pub fn clean_tombstones(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    check_allowed(context)?;
    context.backend.clean_tombstones().map_err(internal)?;
    Ok(Answer::status_text(204, ""))
}

/// `/api/v1/admin/tsdb/snapshot`
pub fn snapshot(context: &Context, call: &Call) -> Result<Answer, Failure> {
    check_allowed(context)?;
    let text = call.parameters.first("skip_head");
    let skip_head = !text.is_empty()
        && parse_bool(text).map_err(|error| {
            Failure::parameter("skip_head", format!("unable to parse boolean: {error}"))
        })?;
    let name = context.backend.snapshot(skip_head).map_err(internal)?;
    Answer::json(&serde_json::json!({ "name": name }))
}
