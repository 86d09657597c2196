//! Remote write 2.0: `io.prometheus.write.v2.Request`.
//!
//! Path: inflated body → **interned_request** → `builder`.
//! Source: types.proto of Prometheus's prompb/io/prometheus/write/v2; the remote write 2.0
//! specification.

use exposition::error::BinaryError;
use exposition::protobuf::wire::{Field, Message};
use storage::metadata::Family;

use crate::builder::{Builder, SeriesRef};
use crate::native::Pushed;
use crate::outcome::Cause;
use crate::write_request::{metric_type, read_sample};

/// Scratch of one request.
struct Reader<'a, 'b> {
    symbols: Vec<&'a str>,
    references: Vec<u64>,
    labels: Vec<(&'a str, &'a str)>,
    builder: &'b mut Builder,
}

/// Reads a request.
///
/// # Errors
/// It is none; the builder is of no use then.
pub fn read(body: &[u8], builder: &mut Builder) -> Result<(), BinaryError> {
    let message = Message::new(body);
    let mut symbols = Vec::new();
    let mut fields = message.clone();
    while let Some(field) = fields.field()? {
        if field.number == 4 {
            symbols.push(field.text()?);
        }
    }
    let mut reader = Reader { symbols, references: Vec::new(), labels: Vec::new(), builder };
    let mut fields = message;
    while let Some(field) = fields.field()? {
        if field.number == 5 {
            reader.series(field.message()?)?;
        }
    }
    Ok(())
}

/// What a time series has beside samples.
#[derive(Default)]
struct Rest<'a> {
    metadata: Option<Field<'a>>,
    samples: usize,
    histograms: usize,
    start_ms: i64,
}

impl<'a> Reader<'a, '_> {
    fn series(&mut self, message: Message<'a>) -> Result<(), BinaryError> {
        self.references.clear();
        let mut rest = Rest::default();
        let mut fields = message.clone();
        let mut place = None;
        while let Some(field) = fields.field()? {
            place.get_or_insert(field.offset);
            match field.number {
                1 => field.uint64s(&mut self.references)?,
                2 => rest.samples += 1,
                3 => rest.histograms += 1,
                5 => rest.metadata = Some(field),
                6 => rest.start_ms = field.int64()?,
                _ => {}
            }
        }
        self.resolve(place.unwrap_or(0))?;
        let series = match self.builder.series(&mut self.labels) {
            Ok(series) => series,
            Err(fault) => {
                let samples = rest.samples + rest.histograms;
                self.builder.refuse_labels(&fault, &self.labels, samples);
                return Ok(());
            }
        };
        self.samples(series, message, rest.start_ms)?;
        if let Some(metadata) = rest.metadata {
            self.metadata(series, &metadata)?;
        }
        Ok(())
    }

    /// Makes labels of the references.
    fn resolve(&mut self, offset: usize) -> Result<(), BinaryError> {
        self.labels.clear();
        let fault = |reason: String| BinaryError { offset, reason };
        let (pairs, odd) = self.references.as_chunks::<2>();
        if !odd.is_empty() {
            let count = self.references.len();
            return Err(fault(format!("invalid labelRefs length {count}")));
        }
        for pair in pairs {
            let symbol = |reference: u64| {
                let at = usize::try_from(reference).ok();
                at.and_then(|at| self.symbols.get(at).copied()).ok_or_else(|| {
                    let size = self.symbols.len();
                    fault(format!("labelRefs {reference} outside of symbols table (size {size})"))
                })
            };
            self.labels.push((symbol(pair[0])?, symbol(pair[1])?));
        }
        Ok(())
    }

    fn samples(
        &mut self,
        series: SeriesRef,
        mut fields: Message<'a>,
        start: i64,
    ) -> Result<(), BinaryError> {
        let of = |start_ms: i64| if start_ms == 0 { start } else { start_ms };
        while let Some(field) = fields.field()? {
            match field.number {
                2 => {
                    let (value, timestamp_ms, start_ms) = read_sample(&field)?;
                    self.builder.float(series, timestamp_ms, value, of(start_ms));
                }
                3 => {
                    let pushed = Pushed::read(field.message()?)?;
                    let (timestamp_ms, start_ms) = (pushed.timestamp_ms, of(pushed.start_ms));
                    match pushed.finish() {
                        Ok(value) => self.builder.native(series, timestamp_ms, value, start_ms),
                        Err(reason) => {
                            let refusals = &mut self.builder.refusals;
                            refusals.add(Cause::Histogram, format_args!(": {reason}"));
                        }
                    }
                }
                4 => self.exemplar(series, &field)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn exemplar(&mut self, series: SeriesRef, field: &Field<'a>) -> Result<(), BinaryError> {
        let (mut value, mut at_ms) = (0.0, 0);
        self.references.clear();
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => field.uint64s(&mut self.references)?,
                2 => value = field.double()?,
                3 => at_ms = field.int64()?,
                _ => {}
            }
        }
        self.resolve(field.offset)?;
        self.builder.exemplar(series, &self.labels, value, at_ms);
        Ok(())
    }

    fn metadata(&mut self, series: SeriesRef, field: &Field<'a>) -> Result<(), BinaryError> {
        let (mut number, mut help, mut unit) = (0, 0, 0);
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => number = field.uint64()?,
                3 => help = field.uint64()?,
                4 => unit = field.uint64()?,
                _ => {}
            }
        }
        if number == 0 && help == 0 && unit == 0 {
            return Ok(());
        }
        // Exemplars may stand between the labels and here.
        let text = |reference: u64| {
            let at = usize::try_from(reference).unwrap_or(usize::MAX);
            self.symbols.get(at).copied().unwrap_or("")
        };
        let name = self.builder.metric_name(series);
        let family = Family {
            name: name.into(),
            metric_type: metric_type(number),
            help: text(help).into(),
            unit: text(unit).into(),
        };
        self.builder.family(series, &family);
        Ok(())
    }
}
