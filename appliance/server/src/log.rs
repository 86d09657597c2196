//! Log: upstream's form of a line, `time=... level=INFO msg="..." key=value`.

use std::fmt::{self, Write as _};

use api::timestamp::format_rfc3339;
use model::label_name::quote;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// Writes events as lines of keys and values.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let time = format_rfc3339(machine::clock::now().wall);
        let level = event.metadata().level();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields { message, rest } = fields;
        writeln!(writer, "time={time} level={level} msg={}{rest}", value(&message))
    }
}

/// The message and the other fields of one event.
#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, text: &str) {
        self.push(field, text.to_owned());
    }

    fn record_debug(&mut self, field: &Field, shown: &dyn fmt::Debug) {
        self.push(field, format!("{shown:?}"));
    }
}

impl Fields {
    fn push(&mut self, field: &Field, text: String) {
        if field.name() == "message" {
            self.message = text;
        } else {
            // Writing to a text cannot fail.
            let _ = write!(self.rest, " {}={}", field.name(), value(&text));
        }
    }
}

/// A value as it is when it is one plain word, else quoted.
fn value(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_graphic() && c != '"' && c != '=';
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { quote(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_spaces_are_quoted() {
        assert_eq!(value("ready"), "ready");
        assert_eq!(value("127.0.0.1:9090"), "127.0.0.1:9090");
        assert_eq!(value("a b"), "\"a b\"");
        assert_eq!(value("a\nb=\"c\""), "\"a\\nb=\\\"c\\\"\"");
        assert_eq!(value(""), "\"\"");
    }
}
