//! Remote write 1.0: `prometheus.WriteRequest`.
//!
//! Path: inflated body → **write_request** → `builder`.
//! Source: remote.proto and types.proto of Prometheus's prompb.

use exposition::error::BinaryError;
use exposition::metric_type::MetricType;
use exposition::protobuf::wire::{Field, Message};
use storage::metadata::Family;

use crate::builder::Builder;
use crate::native::Pushed;
use crate::outcome::Cause;

/// Reads a request.
///
/// # Errors
/// It is none; the builder is of no use then.
pub fn read(body: &[u8], builder: &mut Builder) -> Result<(), BinaryError> {
    let mut message = Message::new(body);
    let mut labels = Vec::new();
    while let Some(field) = message.field()? {
        match field.number {
            1 => read_series(field.message()?, &mut labels, builder)?,
            3 => builder.homeless_family(&read_family(&field)?),
            _ => {}
        }
    }
    Ok(())
}

fn read_series<'a>(
    message: Message<'a>,
    labels: &mut Vec<(&'a str, &'a str)>,
    builder: &mut Builder,
) -> Result<(), BinaryError> {
    labels.clear();
    let (mut fields, mut samples) = (message.clone(), 0);
    while let Some(field) = fields.field()? {
        match field.number {
            1 => labels.push(read_label(&field)?),
            2 | 4 => samples += 1,
            _ => {}
        }
    }
    let series = match builder.series(labels) {
        Ok(series) => series,
        Err(fault) => {
            builder.refuse_labels(&fault, labels, samples);
            return Ok(());
        }
    };
    let mut fields = message;
    while let Some(field) = fields.field()? {
        match field.number {
            2 => {
                let (value, timestamp_ms, start_ms) = read_sample(&field)?;
                builder.float(series, timestamp_ms, value, start_ms);
            }
            3 => {
                let (found, value, at_ms) = read_exemplar(&field)?;
                builder.exemplar(series, &found, value, at_ms);
            }
            4 => {
                let pushed = Pushed::read(field.message()?)?;
                let (timestamp_ms, start_ms) = (pushed.timestamp_ms, pushed.start_ms);
                match pushed.finish() {
                    Ok(histogram) => builder.native(series, timestamp_ms, histogram, start_ms),
                    Err(reason) => {
                        builder.refusals.add(Cause::Histogram, format_args!(": {reason}"))
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn read_label<'a>(field: &Field<'a>) -> Result<(&'a str, &'a str), BinaryError> {
    let (mut name, mut value) = ("", "");
    let mut message = field.message()?;
    while let Some(field) = message.field()? {
        match field.number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// Value, timestamp and start timestamp of a sample; the message is the same in 2.0.
pub(crate) fn read_sample(field: &Field<'_>) -> Result<(f64, i64, i64), BinaryError> {
    let (mut value, mut timestamp_ms, mut start_ms) = (0.0, 0, 0);
    let mut message = field.message()?;
    while let Some(field) = message.field()? {
        match field.number {
            1 => value = field.double()?,
            2 => timestamp_ms = field.int64()?,
            3 => start_ms = field.int64()?,
            _ => {}
        }
    }
    Ok((value, timestamp_ms, start_ms))
}

type ReadExemplar<'a> = (Vec<(&'a str, &'a str)>, f64, i64);

fn read_exemplar<'a>(field: &Field<'a>) -> Result<ReadExemplar<'a>, BinaryError> {
    let (mut labels, mut value, mut at_ms) = (Vec::new(), 0.0, 0);
    let mut message = field.message()?;
    while let Some(field) = message.field()? {
        match field.number {
            1 => labels.push(read_label(&field)?),
            2 => value = field.double()?,
            3 => at_ms = field.int64()?,
            _ => {}
        }
    }
    Ok((labels, value, at_ms))
}

fn read_family(field: &Field<'_>) -> Result<Family, BinaryError> {
    let mut family = Family::default();
    let mut message = field.message()?;
    while let Some(field) = message.field()? {
        match field.number {
            1 => family.metric_type = metric_type(field.uint64()?),
            2 => family.name = field.text()?.into(),
            4 => family.help = field.text()?.into(),
            5 => family.unit = field.text()?.into(),
            _ => {}
        }
    }
    Ok(family)
}

/// The type of a number; the same in 2.0.
pub(crate) fn metric_type(number: u64) -> MetricType {
    match number {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}
