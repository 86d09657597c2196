//! `ExportMetricsServiceRequest` as protocol buffers.
//!
//! Path: body → **message** → `request`.
//! Source: opentelemetry-proto, `metrics/v1/metrics.proto` and `common/v1/common.proto`.
//! Never: keeps more values than the bound, recurses past its own.

use exposition::error::BinaryError;
use exposition::protobuf::wire::{Field, Message, Value};

use crate::otlp::request::{
    AnyValue, Attribute, Buckets, DEPTH_MAX, ExponentialPoint, HistogramPoint, Metric, NumberPoint,
    OtlpExemplar, Points, ResourceMetrics, ScopeMetrics, SummaryPoint, Temporality, VALUES_MAX,
    hexadecimal,
};

/// Reads a request.
///
/// # Errors
/// It is none, or has too many values.
pub fn read(body: &[u8]) -> Result<Vec<ResourceMetrics>, BinaryError> {
    let mut reader = Reader { values: 0 };
    let mut all = Vec::new();
    let mut message = Message::new(body);
    while let Some(field) = message.field()? {
        if field.number == 1 {
            reader.count(&field, 1)?;
            all.push(reader.resource(&field)?);
        }
    }
    Ok(all)
}

struct Reader {
    values: usize,
}

impl Reader {
    /// Counts values of a field.
    fn count(&mut self, field: &Field<'_>, values: usize) -> Result<(), BinaryError> {
        self.values = self.values.saturating_add(values);
        if VALUES_MAX < self.values {
            let reason = format!("more than {VALUES_MAX} values");
            return Err(BinaryError { offset: field.offset, reason });
        }
        Ok(())
    }

    fn resource(&mut self, field: &Field<'_>) -> Result<ResourceMetrics, BinaryError> {
        let mut resource = ResourceMetrics::default();
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => {
                    let mut message = field.message()?;
                    while let Some(field) = message.field()? {
                        if field.number == 1 {
                            resource.attributes.push(self.attribute(&field)?);
                        }
                    }
                }
                2 => {
                    self.count(&field, 1)?;
                    resource.scopes.push(self.scope(&field)?);
                }
                _ => {}
            }
        }
        Ok(resource)
    }

    fn scope(&mut self, field: &Field<'_>) -> Result<ScopeMetrics, BinaryError> {
        let mut scope = ScopeMetrics::default();
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => {
                    let mut message = field.message()?;
                    while let Some(field) = message.field()? {
                        match field.number {
                            1 => scope.name = field.text()?.to_owned(),
                            2 => scope.version = field.text()?.to_owned(),
                            3 => scope.attributes.push(self.attribute(&field)?),
                            _ => {}
                        }
                    }
                }
                2 => {
                    self.count(&field, 1)?;
                    scope.metrics.push(self.metric(&field)?);
                }
                3 => scope.schema_url = field.text()?.to_owned(),
                _ => {}
            }
        }
        Ok(scope)
    }

    fn metric(&mut self, field: &Field<'_>) -> Result<Metric, BinaryError> {
        let mut metric = Metric::default();
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => metric.name = field.text()?.to_owned(),
                2 => metric.description = field.text()?.to_owned(),
                3 => metric.unit = field.text()?.to_owned(),
                5 => metric.points = Points::Gauge(self.points(&field, Reader::number)?.0),
                7 => {
                    let (points, temporality, is_monotonic) =
                        self.points(&field, Reader::number)?;
                    metric.points = Points::Sum { points, temporality, is_monotonic };
                }
                9 => {
                    let (points, temporality, _) = self.points(&field, Reader::histogram)?;
                    metric.points = Points::Histogram(points, temporality);
                }
                10 => {
                    let (points, temporality, _) = self.points(&field, Reader::exponential)?;
                    metric.points = Points::Exponential(points, temporality);
                }
                11 => metric.points = Points::Summary(self.points(&field, Reader::summary)?.0),
                _ => {}
            }
        }
        Ok(metric)
    }

    /// Points, what they count from, whether they only rise: the same fields in every type.
    fn points<T>(
        &mut self,
        field: &Field<'_>,
        read: fn(&mut Reader, &Field<'_>) -> Result<T, BinaryError>,
    ) -> Result<(Vec<T>, Temporality, bool), BinaryError> {
        let (mut points, mut temporality, mut is_monotonic) = (Vec::new(), 0, false);
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => {
                    self.count(&field, 1)?;
                    points.push(read(self, &field)?);
                }
                2 => temporality = field.uint64()?,
                3 => is_monotonic = field.uint64()? != 0,
                _ => {}
            }
        }
        Ok((points, Temporality::of(temporality), is_monotonic))
    }

    fn number(&mut self, field: &Field<'_>) -> Result<NumberPoint, BinaryError> {
        let mut point = NumberPoint::default();
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            let head = &mut point.head;
            match field.number {
                2 => head.start_ns = fixed(&field)?,
                3 => head.time_ns = fixed(&field)?,
                4 => point.value = field.double()?,
                5 => head.exemplars.push(self.exemplar(&field)?),
                6 => point.value = signed(fixed(&field)?),
                7 => head.attributes.push(self.attribute(&field)?),
                8 => head.is_absent = field.uint64()? & 1 != 0,
                _ => {}
            }
        }
        Ok(point)
    }

    fn histogram(&mut self, field: &Field<'_>) -> Result<HistogramPoint, BinaryError> {
        let mut point = HistogramPoint::default();
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            let head = &mut point.head;
            match field.number {
                2 => head.start_ns = fixed(&field)?,
                3 => head.time_ns = fixed(&field)?,
                4 => point.count = fixed(&field)?,
                5 => point.sum = Some(field.double()?),
                6 => self.fixed_numbers(&field, &mut point.counts)?,
                7 => {
                    self.count(&field, packed_max(&field, 8))?;
                    field.doubles(&mut point.bounds)?;
                }
                8 => head.exemplars.push(self.exemplar(&field)?),
                9 => head.attributes.push(self.attribute(&field)?),
                10 => head.is_absent = field.uint64()? & 1 != 0,
                _ => {}
            }
        }
        Ok(point)
    }

    fn exponential(&mut self, field: &Field<'_>) -> Result<ExponentialPoint, BinaryError> {
        let mut point = ExponentialPoint::default();
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            let head = &mut point.head;
            match field.number {
                1 => head.attributes.push(self.attribute(&field)?),
                2 => head.start_ns = fixed(&field)?,
                3 => head.time_ns = fixed(&field)?,
                4 => point.count = fixed(&field)?,
                5 => point.sum = Some(field.double()?),
                6 => point.scale = field.sint32()?,
                7 => point.zero_count = fixed(&field)?,
                8 => point.positive = self.buckets(&field)?,
                9 => point.negative = self.buckets(&field)?,
                10 => head.is_absent = field.uint64()? & 1 != 0,
                11 => head.exemplars.push(self.exemplar(&field)?),
                _ => {}
            }
        }
        Ok(point)
    }

    fn buckets(&mut self, field: &Field<'_>) -> Result<Buckets, BinaryError> {
        let mut buckets = Buckets::default();
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => buckets.offset = field.sint32()?,
                2 => {
                    self.count(&field, packed_max(&field, 1))?;
                    field.uint64s(&mut buckets.counts)?;
                }
                _ => {}
            }
        }
        Ok(buckets)
    }

    fn summary(&mut self, field: &Field<'_>) -> Result<SummaryPoint, BinaryError> {
        let mut point = SummaryPoint::default();
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            let head = &mut point.head;
            match field.number {
                2 => head.start_ns = fixed(&field)?,
                3 => head.time_ns = fixed(&field)?,
                4 => point.count = fixed(&field)?,
                5 => point.sum = field.double()?,
                6 => {
                    self.count(&field, 1)?;
                    let (mut quantile, mut value) = (0.0, 0.0);
                    let mut message = field.message()?;
                    while let Some(field) = message.field()? {
                        match field.number {
                            1 => quantile = field.double()?,
                            2 => value = field.double()?,
                            _ => {}
                        }
                    }
                    point.quantiles.push((quantile, value));
                }
                7 => head.attributes.push(self.attribute(&field)?),
                8 => head.is_absent = field.uint64()? & 1 != 0,
                _ => {}
            }
        }
        Ok(point)
    }

    fn exemplar(&mut self, field: &Field<'_>) -> Result<OtlpExemplar, BinaryError> {
        self.count(field, 1)?;
        let mut exemplar = OtlpExemplar::default();
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                2 => exemplar.time_ns = fixed(&field)?,
                3 => exemplar.value = field.double()?,
                4 => exemplar.span_id = hexadecimal(field.bytes()?),
                5 => exemplar.trace_id = hexadecimal(field.bytes()?),
                6 => exemplar.value = signed(fixed(&field)?),
                7 => exemplar.attributes.push(self.attribute(&field)?),
                _ => {}
            }
        }
        Ok(exemplar)
    }

    fn attribute(&mut self, field: &Field<'_>) -> Result<Attribute, BinaryError> {
        let (key, value) = self.pair(field, 0)?;
        Ok(Attribute { key, value: value.into_text() })
    }

    fn pair(&mut self, field: &Field<'_>, depth: usize) -> Result<(String, AnyValue), BinaryError> {
        self.count(field, 1)?;
        let (mut key, mut value) = (String::new(), AnyValue::Empty);
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            match field.number {
                1 => key = field.text()?.to_owned(),
                2 => value = self.value(&field, depth)?,
                _ => {}
            }
        }
        Ok((key, value))
    }

    fn value(&mut self, field: &Field<'_>, depth: usize) -> Result<AnyValue, BinaryError> {
        self.count(field, 1)?;
        if DEPTH_MAX <= depth {
            let reason = format!("value nested more than {DEPTH_MAX} deep");
            return Err(BinaryError { offset: field.offset, reason });
        }
        let mut value = AnyValue::Empty;
        let mut message = field.message()?;
        while let Some(field) = message.field()? {
            value = match field.number {
                1 => AnyValue::Text(field.text()?.to_owned()),
                2 => AnyValue::Boolean(field.uint64()? != 0),
                3 => AnyValue::Integer(field.int64()?),
                4 => AnyValue::Double(field.double()?),
                5 => {
                    let (mut values, mut message) = (Vec::new(), field.message()?);
                    while let Some(field) = message.field()? {
                        if field.number == 1 {
                            values.push(self.value(&field, depth + 1)?);
                        }
                    }
                    AnyValue::List(values)
                }
                6 => {
                    let (mut entries, mut message) = (Vec::new(), field.message()?);
                    while let Some(field) = message.field()? {
                        if field.number == 1 {
                            entries.push(self.pair(&field, depth + 1)?);
                        }
                    }
                    AnyValue::Map(entries)
                }
                7 => AnyValue::Bytes(field.bytes()?.to_vec()),
                _ => continue,
            };
        }
        Ok(value)
    }

    fn fixed_numbers(&mut self, field: &Field<'_>, into: &mut Vec<u64>) -> Result<(), BinaryError> {
        self.count(field, packed_max(field, 8))?;
        let Value::Bytes(bytes) = field.value else {
            into.push(fixed(field)?);
            return Ok(());
        };
        let (numbers, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            let reason = "packed numbers end within one".to_owned();
            return Err(BinaryError { offset: field.offset, reason });
        }
        into.extend(numbers.iter().map(|number| u64::from_le_bytes(*number)));
        Ok(())
    }
}

/// Most numbers of at least `bytes` each that a field may hold.
fn packed_max(field: &Field<'_>, bytes: usize) -> usize {
    match field.value {
        Value::Bytes(packed) => packed.len() / bytes,
        _ => 1,
    }
}

fn fixed(field: &Field<'_>) -> Result<u64, BinaryError> {
    match field.value {
        Value::Fixed64(number) => Ok(number),
        _ => {
            let reason = format!("field {} is no fixed64", field.number);
            Err(BinaryError { offset: field.offset, reason })
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "samples are floats")]
fn signed(number: u64) -> f64 {
    number.cast_signed() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protobuf_write::Writer;

    fn request(name: &str) -> Writer {
        let mut request = Writer::default();
        request.message(1, |resource| {
            resource.message(1, |inner| {
                inner.message(1, |attribute| {
                    attribute.text(1, "service.name");
                    attribute.message(2, |value| value.text(1, "shop"));
                });
            });
            resource.message(2, |scope| {
                scope.message(2, |metric| {
                    metric.text(1, name);
                    metric.message(10, |histogram| {
                        histogram.message(1, |point| {
                            point.sint64(6, 3);
                            point.message(8, |buckets| {
                                buckets.sint64(1, -2);
                                buckets.uint64s(2, [1, 2, 3]);
                            });
                        });
                        histogram.uint64(2, 2);
                    });
                });
            });
        });
        request
    }

    #[test]
    fn a_request_is_read() {
        let all = read(request("size").bytes()).expect("a request");
        assert_eq!(all[0].attributes[0].value, "shop");
        let metric = &all[0].scopes[0].metrics[0];
        let Points::Exponential(points, Temporality::Cumulative) = &metric.points else {
            panic!("an exponential histogram");
        };
        assert_eq!(points[0].positive, Buckets { offset: -2, counts: vec![1, 2, 3] });
        assert_eq!((metric.name.as_str(), points[0].scale), ("size", 3));
    }

    #[test]
    fn values_and_nesting_are_bounded() {
        let mut many = Writer::default();
        many.message(1, |resource| {
            resource.message(2, |scope| (0..=VALUES_MAX).for_each(|_| scope.put(2, b"")));
        });
        let error = read(many.bytes()).expect_err("too many");
        assert!(error.reason.contains("more than 2000000 values"), "{error:?}");
        let mut deep = Writer::default();
        deep.text(1, "x");
        for _ in 0..=DEPTH_MAX {
            let inner = deep.into_bytes();
            deep = Writer::default();
            deep.message(5, |list| list.put(1, &inner));
        }
        let mut request = Writer::default();
        request.message(1, |resource| {
            resource.message(1, |inner| {
                inner.message(1, |attribute| attribute.put(2, deep.bytes()));
            });
        });
        assert!(read(request.bytes()).expect_err("too deep").reason.contains("nested"));
    }

    /// Bytes that were changed, cut or doubled are read or refused.
    #[test]
    fn broken_bytes_are_no_panic() {
        let whole = request("a").into_bytes();
        let mut seed = 1_u64;
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = usize::try_from(seed >> 33).unwrap_or(0) % bytes.len();
                bytes[at] = seed.to_le_bytes()[5];
            }
            bytes.truncate(usize::try_from(seed >> 40).unwrap_or(0) % bytes.len() + 1);
            let _ = read(&bytes);
        }
    }
}
