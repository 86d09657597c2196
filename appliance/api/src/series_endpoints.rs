//! Endpoints about labels: `series`, `labels`, `label/<name>/values`.

use model::label_set::LabelSet;
use query::evaluate::EngineOptions;
use query::source::{LabelQuery, Selection, Source, WindowValue};

use crate::answer::{Answer, Content, Success};
use crate::call::{Call, Context};
use crate::failure::Failure;
use crate::query_endpoints::source_failure;

/// `/api/v1/series`
pub fn series(context: &Context, call: &Call) -> Result<Answer, Failure> {
    if call.parameters.all("match[]").next().is_none() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let limit = call.parameters.limit("limit")?;
    let (from, to) = call.range()?;
    let sets = call.matcher_sets().map_err(|error| Failure::parameter("match[]", error))?;
    let source = call.source(context);
    let EngineOptions { series_max, memory_bytes_max, .. } = context.backend.engine();
    let mut found: Vec<LabelSet> = Vec::new();
    for matchers in sets {
        call.check_alive()?;
        let after = from.saturating_add(-1);
        let window_value = WindowValue::Average;
        let selection = Selection {
            matchers,
            window_value,
            after,
            until: to,
            series_max,
            bytes_max: memory_bytes_max,
        };
        let series = source.select(&selection).map_err(|error| source_failure(&error))?;
        found.extend(series.into_iter().map(|series| series.labels));
    }
    found.sort_unstable();
    found.dedup();
    let mut warnings = truncate(&mut found, limit);
    warnings.extend(source.warnings());
    Ok(Answer::Success(Success { data: Content::Series(found), warnings, infos: Vec::new() }))
}

/// `/api/v1/labels`
pub fn labels(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let limit = call.parameters.limit("limit")?;
    let wanted = label_query(call)?;
    let source = call.source(context);
    let names = source.label_names(&wanted).map_err(|error| source_failure(&error))?;
    Ok(strings(names, limit, &*source))
}

/// `/api/v1/label/<name>/values`
pub fn label_values(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let name = call.label_name()?;
    let limit = call.parameters.limit("limit")?;
    let wanted = label_query(call)?;
    let source = call.source(context);
    let values = source.label_values(&name, &wanted).map_err(|error| source_failure(&error))?;
    Ok(strings(values, limit, &*source))
}

fn label_query(call: &Call) -> Result<LabelQuery, Failure> {
    let (from, to) = call.range()?;
    let matcher_sets = call.matcher_sets().map_err(Failure::bad_data)?;
    Ok(LabelQuery { matcher_sets, from, to })
}

fn strings(mut list: Vec<String>, limit: usize, source: &dyn Source) -> Answer {
    let mut warnings = truncate(&mut list, limit);
    warnings.extend(source.warnings());
    Answer::Success(Success { data: Content::Strings(list), warnings, infos: Vec::new() })
}

/// Cuts `list` to `limit`, unless that is 0, and says so.
fn truncate<T>(list: &mut Vec<T>, limit: usize) -> Vec<String> {
    if limit == 0 || list.len() <= limit {
        return Vec::new();
    }
    list.truncate(limit);
    vec!["results truncated due to limit".to_owned()]
}
