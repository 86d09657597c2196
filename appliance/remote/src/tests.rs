//! Requests of both versions, as bytes and as what comes out.

use model::label_set::LabelSet;
use proptest::prelude::*;

use crate::batch::Batch;
use crate::builder::Builder;
use crate::outcome::{Cause, Refusals};
use crate::protobuf_write::Writer;
use crate::{interned_request, write_request};

fn one(builder: Builder) -> (Batch, Refusals) {
    let (mut batches, refusals) = builder.finish();
    assert!(batches.len() <= 1, "one home has one shard");
    (batches.pop().map(|(_, batch)| batch).unwrap_or_default(), refusals)
}

fn plain(write: impl FnOnce(&mut Writer)) -> (Batch, Refusals) {
    let mut writer = Writer::default();
    write(&mut writer);
    let mut builder = Builder::new(1, "");
    write_request::read(writer.bytes(), &mut builder).expect("a request");
    one(builder)
}

fn label(series: &mut Writer, name: &str, value: &str) {
    series.message(1, |label| {
        label.text(1, name);
        label.text(2, value);
    });
}

fn sample(series: &mut Writer, value: f64, timestamp_ms: i64) {
    series.message(2, |sample| {
        sample.double(1, value);
        sample.int64(2, timestamp_ms);
    });
}

#[test]
fn requests_of_the_first_version_are_batches() {
    let (batch, refusals) = plain(|request| {
        request.message(1, |series| {
            label(series, "job", "j");
            label(series, "__name__", "up");
            label(series, "empty", "");
            sample(series, 1.5, 7);
            sample(series, f64::NAN, 8);
            series.message(3, |exemplar| {
                exemplar.message(1, |label| {
                    label.text(1, "trace");
                    label.text(2, "x");
                });
                exemplar.double(2, 0.5);
                exemplar.int64(3, 6);
            });
        });
        request.message(3, |family| {
            family.uint64(1, 1);
            family.text(2, "up");
            family.text(4, "Whether.");
        });
    });
    assert_eq!(refusals.total(), 0);
    assert_eq!(batch.labels(0), LabelSet::new([("__name__", "up"), ("job", "j")]));
    let floats: Vec<(i64, u64)> =
        batch.floats.iter().map(|float| (float.timestamp_ms, float.value.to_bits())).collect();
    assert_eq!(floats, [(7, 1.5f64.to_bits()), (8, f64::NAN.to_bits())]);
    assert_eq!(batch.exemplars[0].1.labels.value("trace"), "x");
    assert_eq!(batch.homes()[0].value("job"), "j");
}

#[test]
fn series_that_make_no_sense_are_refused_and_the_rest_kept() {
    let (batch, refusals) = plain(|request| {
        request.message(1, |series| {
            label(series, "job", "without a name");
            sample(series, 1.0, 1);
        });
        request.message(1, |series| {
            label(series, "__name__", "twice");
            label(series, "a", "1");
            label(series, "a", "2");
            sample(series, 1.0, 1);
            sample(series, 1.0, 2);
        });
        request.message(1, |series| {
            label(series, "__name__", "good");
            sample(series, 1.0, 1);
        });
        request.message(1, |series| {
            label(series, "__name__", "histogram");
            series.message(4, |histogram| {
                histogram.uint64(1, 5);
                histogram.message(11, |span| span.uint64(2, 1));
                histogram.sint64s(12, [3]);
            });
        });
    });
    assert_eq!((refusals.count(Cause::Labels), refusals.count(Cause::Histogram)), (3, 1));
    assert!(refusals.text().contains("duplicated label a"), "{}", refusals.text());
    assert!(refusals.text().contains("3 observations found in buckets"), "{}", refusals.text());
    assert_eq!((batch.floats.len(), batch.natives.len()), (1, 0));
}

fn interned(
    symbols: &[&str],
    write: impl FnOnce(&mut Writer),
) -> Result<(Batch, Refusals), String> {
    let mut writer = Writer::default();
    symbols.iter().for_each(|symbol| writer.put(4, symbol.as_bytes()));
    writer.message(5, write);
    let mut builder = Builder::new(1, "");
    let read = interned_request::read(writer.bytes(), &mut builder);
    read.map_err(|error| error.to_string())?;
    Ok(one(builder))
}

#[test]
fn requests_of_the_second_version_are_batches() {
    let symbols = ["", "__name__", "rpc", "le", "help", "s", "trace", "id"];
    let (batch, refusals) = interned(&symbols, |series| {
        series.uint64s(1, [1, 2]);
        series.message(3, |histogram| {
            histogram.uint64(1, 5);
            histogram.double(3, 2.5);
            histogram.message(11, |span| {
                span.sint64(1, 1);
                span.uint64(2, 2);
            });
            histogram.sint64s(12, [3, -1]);
            histogram.int64(15, 1000);
            histogram.int64(17, 900);
        });
        series.message(4, |exemplar| {
            exemplar.uint64s(1, [6, 7]);
            exemplar.double(2, 1.0);
            exemplar.int64(3, 999);
        });
        series.message(5, |metadata| {
            metadata.uint64(1, 3);
            metadata.uint64(3, 4);
            metadata.uint64(4, 5);
        });
    })
    .expect("a request");
    assert_eq!(refusals.total(), 0);
    let native = &batch.natives[0];
    assert_eq!((native.timestamp_ms, native.start_ms), (1000, 900));
    assert_eq!(native.value.positive_buckets, [3.0, 2.0]);
    let (_, family) = &batch.families[0];
    assert_eq!((&*family.name, &*family.help, &*family.unit), ("rpc", "help", "s"));
    assert_eq!(batch.exemplars[0].1.labels.value("trace"), "id");
}

#[test]
fn references_outside_the_symbols_are_a_fault() {
    let error = interned(&["", "a"], |series| series.uint64s(1, [1, 2])).unwrap_err();
    assert!(error.contains("labelRefs 2 outside of symbols table (size 2)"), "{error}");
    let error = interned(&["", "a"], |series| series.uint64s(1, [1])).unwrap_err();
    assert!(error.contains("invalid labelRefs length 1"), "{error}");
}

#[test]
fn b1_labels_are_sorted_whatever_order_they_came_in() {
    let (batch, _) = plain(|request| {
        request.message(1, |series| {
            for name in ["z", "__name__", "a"] {
                label(series, name, "v");
            }
            sample(series, 1.0, 1);
        });
    });
    let labels = batch.labels(0);
    let names: Vec<&str> = labels.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["__name__", "a", "z"]);
}

#[test]
fn many_samples_are_several_batches() {
    let mut writer = Writer::default();
    for at in 0..20_000i64 {
        writer.message(1, |series| {
            label(series, "__name__", &format!("m{at}"));
            sample(series, 1.0, 1);
        });
    }
    let mut builder = Builder::new(1, "");
    write_request::read(writer.bytes(), &mut builder).expect("a request");
    let (batches, _) = builder.finish();
    let counts: Vec<usize> = batches.iter().map(|(_, batch)| batch.floats.len()).collect();
    assert_eq!(counts, [8192, 8192, 3616]);
    assert_eq!(batches[2].1.labels(3615).metric_name(), "m19999");
    assert_eq!(batches[2].1.homes().len(), 1);
}

proptest! {
    #[test]
    fn any_bytes_are_a_request_or_a_fault(bytes: Vec<u8>) {
        let _ = write_request::read(&bytes, &mut Builder::new(2, ""));
        let _ = interned_request::read(&bytes, &mut Builder::new(2, ""));
        let _ = crate::snappy::inflate(&bytes, 1 << 16);
    }
}
