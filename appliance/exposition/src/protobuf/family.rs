//! Metric families in protocol buffers (`io.prometheus.client.MetricFamily`, delimited).
//!
//! Path: body → `wire` → **family** → entries.
//! Never: keeps more of the body than one metric; series get texts, made once a metric.
//!
//! Source: metrics.proto of prometheus/client_model; which samples a family makes is upstream's
//! rule, as is what is a native histogram: it has spans, a zero threshold or a zero count.

use model::native_histogram::{CounterResetHint, NativeHistogram, Span};
use model::time::TimestampMs;

use crate::entry::{Entry, Exemplar, HistogramSample, Sample};
use crate::error::BinaryError;
use crate::metric_type::MetricType;
use crate::native::finish;
use crate::nhcb::Classic;
use crate::number::format_label_float;
use crate::protobuf::wire::{Field, Message};
use crate::series_text::{write_label, write_series};

/// What is made of histograms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HistogramOptions {
    /// Native histograms are read; else they are taken for the classic ones that they may have.
    pub native: bool,
    /// Classic histograms are read also where there is a native one.
    pub classic: bool,
    /// Classic histograms become native ones with custom buckets.
    pub convert: bool,
}

/// Shows `visit` every entry of `body`.
///
/// # Errors
/// Where and why the body is no stream of metric families; what came before was shown.
pub fn read(
    body: &[u8],
    options: HistogramOptions,
    visit: &mut dyn FnMut(&Entry<'_>),
) -> Result<(), BinaryError> {
    let mut stream = Message::new(body);
    let mut scratch = Scratch::default();
    while let Some(family) = stream.delimited()? {
        read_family(&family, options, &mut scratch, visit)?;
    }
    Ok(())
}

/// Texts and buckets of one metric; reused.
#[derive(Default)]
struct Scratch {
    /// Its labels, each with a comma behind it.
    labels: Vec<u8>,
    /// Those with one more.
    more: Vec<u8>,
    series: Vec<u8>,
    exemplars: Vec<u8>,
    classic: Classic,
}

/// What all metrics of a family share.
struct Family<'a> {
    name: &'a str,
    metric_type: MetricType,
    options: HistogramOptions,
}

fn read_family(
    message: &Message<'_>,
    options: HistogramOptions,
    scratch: &mut Scratch,
    visit: &mut dyn FnMut(&Entry<'_>),
) -> Result<(), BinaryError> {
    let (mut name, mut help, mut unit) = ("", "", "");
    let mut metric_type = MetricType::Counter;
    let mut metrics = 0;
    let mut fields = message.clone();
    let mut place = None;
    while let Some(field) = fields.field()? {
        place.get_or_insert(field.offset);
        match field.number {
            1 => name = field.text()?,
            2 => help = field.text()?,
            3 => metric_type = type_of(&field)?,
            4 => metrics += 1,
            5 => unit = field.text()?,
            _ => {}
        }
    }
    if metrics == 0 {
        return Ok(());
    }
    if name.is_empty() {
        let reason = "invalid metric name: \"\"".to_owned();
        return Err(BinaryError { offset: place.unwrap_or(0), reason });
    }
    visit(&Entry::Help { name: name.into(), help: help.into() });
    if !unit.is_empty() {
        visit(&Entry::Unit { name: name.into(), unit: unit.into() });
    }
    visit(&Entry::Type { name: name.into(), metric_type });
    let family = Family { name, metric_type, options };
    let mut fields = message.clone();
    while let Some(field) = fields.field()? {
        if field.number == 4 {
            family.metric(&field, scratch, visit)?;
        }
    }
    Ok(())
}

fn type_of(field: &Field<'_>) -> Result<MetricType, BinaryError> {
    match field.uint64()? {
        0 => Ok(MetricType::Counter),
        1 => Ok(MetricType::Gauge),
        2 => Ok(MetricType::Summary),
        3 => Ok(MetricType::Unknown),
        4 => Ok(MetricType::Histogram),
        5 => Ok(MetricType::GaugeHistogram),
        other => {
            let reason = format!("unknown metric type {other}");
            Err(BinaryError { offset: field.offset, reason })
        }
    }
}

impl Family<'_> {
    fn metric(
        &self,
        metric: &Field<'_>,
        scratch: &mut Scratch,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), BinaryError> {
        scratch.labels.clear();
        let mut value = None;
        let mut timestamp = None;
        let wanted = match self.metric_type {
            MetricType::Gauge => 2,
            MetricType::Counter => 3,
            MetricType::Summary => 4,
            MetricType::Histogram | MetricType::GaugeHistogram => 7,
            _ => 5,
        };
        let mut fields = metric.message()?;
        while let Some(field) = fields.field()? {
            match field.number {
                1 => read_label(&field, &mut scratch.labels)?,
                // As upstream has it, 0 is no timestamp.
                6 => timestamp = Some(field.int64()?).filter(|ms| *ms != 0).map(TimestampMs),
                number if number == wanted => value = Some(field),
                _ => {}
            }
        }
        let base = value.map_or_else(|| Ok(Message::new(&[])), |value| value.message())?;
        match self.metric_type {
            MetricType::Summary => self.summary(base, timestamp, scratch, visit),
            MetricType::Histogram | MetricType::GaugeHistogram => {
                let offset = value.map_or(metric.offset, |value| value.offset);
                self.histogram(base, offset, timestamp, scratch, visit)
            }
            _ => self.simple(base, timestamp, scratch, visit),
        }
    }

    fn simple(
        &self,
        mut fields: Message<'_>,
        timestamp: Option<TimestampMs>,
        scratch: &mut Scratch,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), BinaryError> {
        let (mut value, mut exemplar, mut start) = (0.0, None, None);
        while let Some(field) = fields.field()? {
            match field.number {
                1 => value = field.double()?,
                2 if self.metric_type == MetricType::Counter => exemplar = Some(field),
                3 if self.metric_type == MetricType::Counter => start = Some(time(&field)?),
                _ => {}
            }
        }
        let given = Given { timestamp, start, exemplar };
        self.sample("", None, value, given, scratch, visit)
    }

    fn summary(
        &self,
        message: Message<'_>,
        timestamp: Option<TimestampMs>,
        scratch: &mut Scratch,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), BinaryError> {
        let (mut count, mut sum, mut start) = (0, 0.0, None);
        let mut fields = message.clone();
        while let Some(field) = fields.field()? {
            match field.number {
                1 => count = field.uint64()?,
                2 => sum = field.double()?,
                4 => start = Some(time(&field)?),
                _ => {}
            }
        }
        let given = Given { timestamp, start, exemplar: None };
        self.sample("_count", None, float(count), given, scratch, visit)?;
        self.sample("_sum", None, sum, given, scratch, visit)?;
        let mut fields = message;
        while let Some(field) = fields.field()? {
            if field.number == 3 {
                let (mut quantile, mut value) = (0.0, 0.0);
                let mut fields = field.message()?;
                while let Some(field) = fields.field()? {
                    match field.number {
                        1 => quantile = field.double()?,
                        2 => value = field.double()?,
                        _ => {}
                    }
                }
                let label = Some(("quantile", quantile));
                self.sample("", label, value, given, scratch, visit)?;
            }
        }
        Ok(())
    }

    fn histogram(
        &self,
        message: Message<'_>,
        offset: usize,
        timestamp: Option<TimestampMs>,
        scratch: &mut Scratch,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), BinaryError> {
        let read = Histogram::read(message)?;
        let options = self.options;
        let native = options.native && read.is_native();
        if native {
            let native = read.native(self.metric_type);
            let native = native.map_err(|reason| BinaryError {
                offset,
                reason: format!("histogram {:?}: {reason}", self.name),
            })?;
            self.show_native(native, &read, timestamp, scratch, visit)?;
        }
        let classic = if native {
            options.classic && !read.buckets.is_empty()
        } else {
            options.classic || !options.convert
        };
        if classic {
            self.show_classic(&read, timestamp, scratch, visit)?;
        }
        if !native
            && options.convert
            && let Some(converted) = read.converted(self.metric_type, &mut scratch.classic)
        {
            self.show_native(converted, &read, timestamp, scratch, visit)?;
        }
        Ok(())
    }

    fn show_classic(
        &self,
        read: &Histogram<'_>,
        timestamp: Option<TimestampMs>,
        scratch: &mut Scratch,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), BinaryError> {
        let given = Given { timestamp, start: read.start, exemplar: None };
        let count = read.count();
        self.sample("_count", None, count, given, scratch, visit)?;
        self.sample("_sum", None, read.sum, given, scratch, visit)?;
        let mut infinite = false;
        for bucket in &read.buckets {
            let given = Given { exemplar: bucket.exemplar, ..given };
            let label = Some(("le", bucket.bound));
            self.sample("_bucket", label, bucket.count(), given, scratch, visit)?;
            infinite = bucket.bound == f64::INFINITY;
            if infinite {
                break;
            }
        }
        if !infinite {
            let label = Some(("le", f64::INFINITY));
            self.sample("_bucket", label, count, given, scratch, visit)?;
        }
        Ok(())
    }

    fn show_native(
        &self,
        histogram: NativeHistogram,
        read: &Histogram<'_>,
        timestamp: Option<TimestampMs>,
        scratch: &mut Scratch,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), BinaryError> {
        scratch.series.clear();
        write_series(self.name, "", &scratch.labels, &mut scratch.series);
        let in_buckets = read.buckets.iter().filter_map(|bucket| bucket.exemplar);
        let fields: Vec<Field<'_>> =
            if read.exemplars.is_empty() { in_buckets.collect() } else { read.exemplars.clone() };
        scratch.exemplars.clear();
        let mut found = Vec::with_capacity(fields.len());
        for field in &fields {
            let start = scratch.exemplars.len();
            let (value, at) = read_exemplar(field, &mut scratch.exemplars)?;
            // Upstream too leaves those without a time out.
            found.extend(at.map(|at| (start..scratch.exemplars.len(), value, at)));
        }
        found.sort_by_key(|(_, _, at)| *at);
        let exemplars = found.into_iter().map(|(labels, value, at)| Exemplar {
            labels: &scratch.exemplars[labels],
            labels_start: 0,
            value,
            timestamp: Some(at),
        });
        visit(&Entry::Histogram(HistogramSample {
            series: &scratch.series,
            histogram,
            timestamp,
            metric_type: self.metric_type,
            exemplars: exemplars.collect(),
            start: read.start,
        }));
        Ok(())
    }

    fn sample(
        &self,
        suffix: &str,
        label: Option<(&str, f64)>,
        value: f64,
        given: Given<'_>,
        scratch: &mut Scratch,
        visit: &mut dyn FnMut(&Entry<'_>),
    ) -> Result<(), BinaryError> {
        scratch.series.clear();
        if let Some((name, bound)) = label {
            scratch.more.clear();
            scratch.more.extend_from_slice(&scratch.labels);
            write_label(name, &format_label_float(bound), &mut scratch.more);
            write_series(self.name, suffix, &scratch.more, &mut scratch.series);
        } else {
            write_series(self.name, suffix, &scratch.labels, &mut scratch.series);
        }
        scratch.exemplars.clear();
        let mut exemplar = None;
        if let Some(field) = given.exemplar {
            let (value, timestamp) = read_exemplar(&field, &mut scratch.exemplars)?;
            let labels = &scratch.exemplars[..];
            exemplar = Some(Exemplar { labels, labels_start: 0, value, timestamp });
        }
        let ordinary = f64::from_bits(model::staleness::NORMAL_NAN_BITS);
        visit(&Entry::Sample(Sample {
            series: &scratch.series,
            series_start: 0,
            value_start: 0,
            value: if value.is_nan() { ordinary } else { value },
            timestamp: given.timestamp,
            metric_type: self.metric_type,
            exemplar,
            start: given.start,
        }));
        Ok(())
    }
}

/// What is given with a value.
#[derive(Clone, Copy)]
struct Given<'a> {
    timestamp: Option<TimestampMs>,
    start: Option<TimestampMs>,
    exemplar: Option<Field<'a>>,
}

/// A histogram message, its repeated fields taken apart.
#[derive(Default)]
struct Histogram<'a> {
    count: u64,
    count_float: f64,
    sum: f64,
    buckets: Vec<Bucket<'a>>,
    schema: i32,
    zero_threshold: f64,
    zero_count: u64,
    zero_count_float: f64,
    negative: Side,
    positive: Side,
    start: Option<TimestampMs>,
    exemplars: Vec<Field<'a>>,
}

/// The native buckets of one sign.
#[derive(Default)]
struct Side {
    spans: Vec<Span>,
    deltas: Vec<i64>,
    counts: Vec<f64>,
}

/// One bucket of a classic histogram.
#[derive(Default)]
struct Bucket<'a> {
    count: u64,
    count_float: f64,
    bound: f64,
    exemplar: Option<Field<'a>>,
}

impl<'a> Histogram<'a> {
    fn read(mut fields: Message<'a>) -> Result<Histogram<'a>, BinaryError> {
        let mut read = Histogram::default();
        while let Some(field) = fields.field()? {
            match field.number {
                1 => read.count = field.uint64()?,
                2 => read.sum = field.double()?,
                3 => read.buckets.push(Bucket::read(field.message()?)?),
                4 => read.count_float = field.double()?,
                5 => read.schema = field.sint32()?,
                6 => read.zero_threshold = field.double()?,
                7 => read.zero_count = field.uint64()?,
                8 => read.zero_count_float = field.double()?,
                9 => read.negative.spans.push(span(field.message()?)?),
                10 => field.sint64s(&mut read.negative.deltas)?,
                11 => field.doubles(&mut read.negative.counts)?,
                12 => read.positive.spans.push(span(field.message()?)?),
                13 => field.sint64s(&mut read.positive.deltas)?,
                14 => field.doubles(&mut read.positive.counts)?,
                15 => read.start = Some(time(&field)?),
                16 => read.exemplars.push(field),
                _ => {}
            }
        }
        Ok(read)
    }

    fn is_native(&self) -> bool {
        !self.positive.spans.is_empty()
            || !self.negative.spans.is_empty()
            || 0.0 < self.zero_threshold
            || self.zero_count != 0
    }

    fn count(&self) -> f64 {
        if self.count_float == 0.0 { float(self.count) } else { self.count_float }
    }

    fn native(&self, metric_type: MetricType) -> Result<NativeHistogram, String> {
        let floats = 0.0 < self.count_float || 0.0 < self.zero_count_float;
        let buckets =
            |side: &Side| if floats { side.counts.clone() } else { absolute(&side.deltas) };
        let mut histogram = NativeHistogram {
            counter_reset_hint: hint(metric_type),
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: if floats { self.zero_count_float } else { float(self.zero_count) },
            count: if floats { self.count_float } else { float(self.count) },
            sum: self.sum,
            positive_spans: self.positive.spans.clone(),
            positive_buckets: buckets(&self.positive),
            negative_spans: self.negative.spans.clone(),
            negative_buckets: buckets(&self.negative),
            ..NativeHistogram::default()
        };
        finish(&mut histogram).map_err(|error| error.to_string())?;
        Ok(histogram)
    }

    fn converted(&self, metric_type: MetricType, classic: &mut Classic) -> Option<NativeHistogram> {
        classic.clear();
        classic.count(self.count());
        classic.sum(self.sum);
        for bucket in &self.buckets {
            classic.bucket(bucket.bound, bucket.count());
        }
        let mut histogram = classic.convert()?;
        histogram.counter_reset_hint = hint(metric_type);
        Some(histogram)
    }
}

impl<'a> Bucket<'a> {
    fn read(mut fields: Message<'a>) -> Result<Bucket<'a>, BinaryError> {
        let mut bucket = Bucket::default();
        while let Some(field) = fields.field()? {
            match field.number {
                1 => bucket.count = field.uint64()?,
                2 => bucket.bound = field.double()?,
                3 => bucket.exemplar = Some(field),
                4 => bucket.count_float = field.double()?,
                _ => {}
            }
        }
        Ok(bucket)
    }

    fn count(&self) -> f64 {
        if self.count_float == 0.0 { float(self.count) } else { self.count_float }
    }
}

fn hint(metric_type: MetricType) -> CounterResetHint {
    if metric_type == MetricType::GaugeHistogram {
        CounterResetHint::Gauge
    } else {
        CounterResetHint::Unknown
    }
}

/// Counts of which each is given as what it has more than the one before.
fn absolute(deltas: &[i64]) -> Vec<f64> {
    let sums = deltas.iter().scan(0_i64, |sum, delta| {
        *sum = sum.wrapping_add(*delta);
        Some(*sum)
    });
    sums.map(signed_float).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a sample is a double")]
fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "a sample is a double")]
fn signed_float(count: i64) -> f64 {
    count as f64
}

fn span(mut fields: Message<'_>) -> Result<Span, BinaryError> {
    let mut span = Span { offset: 0, length: 0 };
    while let Some(field) = fields.field()? {
        match field.number {
            1 => span.offset = field.sint32()?,
            2 => span.length = field.uint32()?,
            _ => {}
        }
    }
    Ok(span)
}

fn time(field: &Field<'_>) -> Result<TimestampMs, BinaryError> {
    let (mut seconds, mut nanos) = (0_i64, 0_i64);
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => seconds = field.int64()?,
            2 => nanos = field.int64()?,
            _ => {}
        }
    }
    Ok(TimestampMs(seconds.saturating_mul(1000).saturating_add(nanos / 1_000_000)))
}

fn read_label(field: &Field<'_>, into: &mut Vec<u8>) -> Result<(), BinaryError> {
    let (mut name, mut value) = ("", "");
    let mut fields = field.message()?;
    while let Some(field) = fields.field()? {
        match field.number {
            1 => name = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    write_label(name, value, into);
    Ok(())
}

/// Writes the labels of an exemplar with their braces; gives its value and time.
fn read_exemplar(
    field: &Field<'_>,
    into: &mut Vec<u8>,
) -> Result<(f64, Option<TimestampMs>), BinaryError> {
    let (mut value, mut timestamp) = (0.0, None);
    let mut fields = field.message()?;
    into.push(b'{');
    while let Some(field) = fields.field()? {
        match field.number {
            1 => read_label(&field, into)?,
            2 => value = field.double()?,
            3 => timestamp = Some(time(&field)?),
            _ => {}
        }
    }
    into.push(b'}');
    Ok((value, timestamp))
}
