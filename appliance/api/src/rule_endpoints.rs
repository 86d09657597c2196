//! Endpoints about rules: `rules` and `alerts`, well-formed and empty while nothing evaluates them.
//!
//! Source: `rules` of Prometheus's `web/api/v1/api.go` for what is refused.

use model::label_name::quote;

use crate::answer::{Answer, Content};
use crate::call::{Call, Context};
use crate::failure::Failure;
use crate::parameters::parse_bool;

/// `/api/v1/rules`
pub fn rules(_context: &Context, call: &Call) -> Result<Answer, Failure> {
    call.matcher_sets().map_err(Failure::bad_data)?;
    let kind = call.parameters.first("type").to_lowercase();
    if !matches!(&*kind, "" | "alert" | "record") {
        return Err(Failure::parameter("type", format!("not supported value {}", quote(&kind))));
    }
    let exclude_alerts = call.parameters.first("exclude_alerts").to_lowercase();
    if !exclude_alerts.is_empty() {
        parse_bool(&exclude_alerts).map_err(|error| {
            let text = format!("error converting exclude_alerts: {error}");
            Failure::parameter("exclude_alerts", text)
        })?;
    }
    check_page(call)?;
    Ok(Content::Json("{\"groups\":[]}".to_owned()).into())
}

/// A page has a size; a token is one that an answer gave, and none has given any.
fn check_page(call: &Call) -> Result<(), Failure> {
    let token = call.parameters.first("group_next_token");
    let limit = call.parameters.first("group_limit");
    if limit.is_empty() && token.is_empty() {
        return Ok(());
    }
    if limit.is_empty() {
        let text = "group_limit needs to be present in order to paginate over the groups";
        return Err(Failure::parameter("group_next_token", text));
    }
    let groups = limit.parse::<i32>().map_err(|_| {
        let quoted = quote(limit);
        let error = format!("strconv.ParseInt: parsing {quoted}: invalid syntax");
        let text = format!("group_limit needs to be a valid number: {error}");
        Failure::parameter("group_limit", text)
    })?;
    if groups <= 0 {
        let text = "group_limit needs to be greater than 0";
        return Err(Failure::parameter("group_limit", text));
    }
    if !token.is_empty() {
        let text = format!("invalid group_next_token '{token}'. were rule groups changed?");
        return Err(Failure::parameter("group_next_token", text));
    }
    Ok(())
}

/// `/api/v1/alerts`
pub fn alerts(_context: &Context, _call: &Call) -> Result<Answer, Failure> {
    Ok(Content::Json("{\"alerts\":[]}".to_owned()).into())
}
