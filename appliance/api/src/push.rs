//! Push: `/metrics/job/…`, where batch jobs leave their last values, as Pushgateway takes them.
//!
//! Path: `router` → **push** reads path and body → `groups` → `receive` → the answer.
//! Owns: the task that holds the groups and stores them again every `scrape_interval`.
//! Source: the README of Prometheus's Pushgateway, and its answers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use exposition::body::{Format, ReadOptions, read};
use exposition::dialect::Dialect;
use exposition::entry::Entry;
use exposition::metric_type::MetricType;
use exposition::protobuf::family::HistogramOptions;
use exposition::series::parse_series;
use hyper::header;
use hyper::{Method, StatusCode};
use model::label_name::is_legacy_label_name;
use model::label_set::{Builder as Labels, LabelSet};
use remote::builder::Builder;
use remote::outcome::Pushed;
use storage::metadata::Family;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::call::Context;
use crate::groups::{Change, FAILURE_TIME, Families, Groups, PUSH_TIME, PushedValue, Stamped};
use crate::import::inflate::{Inflater, STEP_BYTES};
use crate::parameters::decode_segment;
use crate::push_gateway::Order;
use crate::receive::{Refused, plain, read_body, refuse, store, text_of};

/// Most bytes of a body after inflating: some ten thousand series.
pub const PUSH_BYTES_MAX: usize = 8 << 20;
/// Changes that wait for the task; it never waits itself.
const CHANGES_MAX: usize = 64;

const OFF: &str = "push receiver needs to be enabled with --web.enable-push-receiver";
const BASE64: &str = "@base64";
const PREFIX: &str = "/metrics/";

/// Changes a group; the first change begins the task that holds them.
///
/// # Errors
/// There is no room, or the server ends.
async fn order(context: &Arc<Context>, key: LabelSet, change: Change) -> Result<Stamped, Refused> {
    let lost = || Refused::Overloaded("the server ends".to_owned());
    let begin = || async {
        let (sender, orders) = mpsc::channel(CHANGES_MAX);
        tokio::spawn(keep(Arc::clone(context), orders));
        sender
    };
    let (reply, answer) = oneshot::channel();
    let sender = context.pushed.orders.get_or_init(begin).await;
    sender.send(Order { key, change, reply }).await.map_err(|_| lost())?;
    match answer.await.map_err(|_| lost())? {
        Ok(stamped) => Ok(stamped),
        Err(full) => {
            context.pushed.full.fetch_add(1, Ordering::Relaxed);
            Err(Refused::TooLarge(full.to_string()))
        }
    }
}

/// Holds the groups: changes them, and stores them again every interval.
async fn keep(context: Arc<Context>, mut orders: mpsc::Receiver<Order>) {
    let mut groups = Groups::default();
    let mut storing: Option<JoinHandle<()>> = None;
    let mut due = next(&context);
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            () = tokio::time::sleep_until(due) => {
                due = next(&context);
                if storing.as_ref().is_some_and(|before| !before.is_finished()) {
                    context.pushed.skipped.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let stamped = groups.stamp_all(context.backend.now().wall.0);
                if !stamped.is_empty() {
                    storing = Some(tokio::spawn(store_again(Arc::clone(&context), stamped)));
                }
                continue;
            }
        };
        let Some(Order { key, change, reply }) = order else { return };
        let stamped = groups.change(&key, change, context.backend.now().wall.0);
        let (count, bytes) = groups.held();
        context.pushed.groups.store(count, Ordering::Relaxed);
        context.pushed.bytes.store(bytes, Ordering::Relaxed);
        // Who pushed may have left.
        drop(reply.send(stamped));
    }
}

fn next(context: &Context) -> Instant {
    Instant::now() + Duration::from_millis(context.backend.restamp_ms())
}

/// What cannot be stored now is stored at the next time.
async fn store_again(context: Arc<Context>, stamped: Vec<Stamped>) {
    for one in stamped {
        drop(store_stamped(&context, one).await);
    }
}

async fn store_stamped(context: &Arc<Context>, stamped: Stamped) -> Result<Pushed, Refused> {
    let shards = context.backend.shards();
    let work = tokio::task::spawn_blocking(move || {
        let mut builder = Builder::new(shards, "");
        put(stamped, &mut builder);
        builder.finish()
    });
    let (batches, refusals) =
        work.await.map_err(|_| Refused::Bad("the group broke its writer".to_owned()))?;
    let pushed = store(context, batches, refusals).await?;
    context.receiver.samples.fetch_add(pushed.samples + pushed.histograms, Ordering::Relaxed);
    Ok(pushed)
}

fn put(stamped: Stamped, builder: &mut Builder) {
    let Stamped { at_ms, series, described } = stamped;
    for (at, (labels, value)) in series.into_iter().enumerate() {
        let mut labels: Vec<(&str, &str)> = labels.iter().collect();
        let of = match builder.series(&mut labels) {
            Ok(of) => of,
            Err(fault) => {
                builder.refuse_labels(&fault, &labels, 1);
                continue;
            }
        };
        if at == 0 {
            described.iter().for_each(|family| builder.family(of, family));
        }
        match value {
            PushedValue::Float(value) => builder.float(of, at_ms, value, 0),
            PushedValue::Native(native) => {
                builder.native(of, at_ms, Arc::unwrap_or_clone(native), 0);
            }
        }
    }
}

/// Answers a push or a deletion.
pub async fn push(context: Arc<Context>, request: Request) -> Response {
    if !context.backend.receivers().push {
        return plain(StatusCode::NOT_FOUND, OFF);
    }
    context.receiver.requests.fetch_add(1, Ordering::Relaxed);
    let done =
        if request.method() == Method::DELETE { StatusCode::ACCEPTED } else { StatusCode::OK };
    match push_all(&context, request).await {
        Ok(pushed) if pushed.overloaded => {
            context.receiver.overloaded.fetch_add(1, Ordering::Relaxed);
            refuse(&Refused::Overloaded("the disk is behind".to_owned()))
        }
        Ok(pushed) if pushed.refusals.total() == 0 => plain(done, ""),
        Ok(pushed) => plain(StatusCode::BAD_REQUEST, &pushed.refusals.text()),
        Err(refused) => {
            if matches!(refused, Refused::Overloaded(_)) {
                context.receiver.overloaded.fetch_add(1, Ordering::Relaxed);
            }
            refuse(&refused)
        }
    }
}

async fn push_all(context: &Arc<Context>, request: Request) -> Result<Pushed, Refused> {
    let key = grouping(request.uri().path()).map_err(Refused::Bad)?;
    if request.method() == Method::DELETE {
        let ended = order(context, key, Change::Delete).await?;
        return store_stamped(context, ended).await;
    }
    let replaces_all = request.method() == Method::PUT;
    let content_type = text_of(request.headers(), &header::CONTENT_TYPE);
    let format = format_of(content_type);
    let inflater = Inflater::new(request.headers()).map_err(Refused::Unsupported)?;
    let (body, room) = read_body(&context.receiver, request).await?;
    let received = u64::try_from(body.len()).unwrap_or(u64::MAX);
    context.receiver.body_bytes.fetch_add(received, Ordering::Relaxed);
    let shown = key.clone();
    let work = tokio::task::spawn_blocking(move || {
        let body = inflate(inflater, &body)?;
        let inflated = body.len();
        drop(room);
        families(format, &body, &shown).map(|families| (families, inflated))
    });
    let read = work.await.map_err(|_| Refused::Bad("the body broke its reader".to_owned()))?;
    let (families, inflated) = match read {
        Ok(read) => read,
        Err(Fault::Inconsistent(text)) => {
            let failed = order(context, key, Change::Fail).await?;
            store_stamped(context, failed).await?;
            return Err(Refused::Bad(text));
        }
        Err(Fault::Unreadable(refused)) => return Err(refused),
    };
    let inflated = u64::try_from(inflated).unwrap_or(u64::MAX);
    context.receiver.inflated_bytes.fetch_add(inflated, Ordering::Relaxed);
    let change = Change::Put { families, replaces_all };
    let stamped = order(context, key, change).await?;
    store_stamped(context, stamped).await
}

/// Why a body was not taken.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    /// It cannot be read.
    Unreadable(Refused),
    /// It can, but makes no sense as a group: that is told by [`FAILURE_TIME`].
    Inconsistent(String),
}

fn format_of(content_type: &str) -> Format {
    let media = content_type.split(';').next().unwrap_or("").trim();
    match media.to_ascii_lowercase().as_str() {
        "application/vnd.google.protobuf" => Format::Protobuf,
        "application/openmetrics-text" => Format::Text(Dialect::OpenMetrics),
        // As Pushgateway, whatever a client says.
        _ => Format::Text(Dialect::Text),
    }
}

fn inflate(mut inflater: Inflater, body: &[u8]) -> Result<Vec<u8>, Fault> {
    let bad = |text: String| Fault::Unreadable(Refused::Bad(text));
    let mut inflated = Vec::new();
    for piece in body.chunks(STEP_BYTES) {
        inflater.take(piece, &mut inflated).map_err(bad)?;
        if PUSH_BYTES_MAX < inflated.len() {
            let text = format!("body of more than {PUSH_BYTES_MAX} bytes");
            return Err(Fault::Unreadable(Refused::TooLarge(text)));
        }
    }
    inflated.extend(inflater.finish().map_err(bad)?);
    Ok(inflated)
}

/// The grouping labels of a path: `/metrics/job/NAME`, then pairs of name and value.
fn grouping(path: &str) -> Result<LabelSet, String> {
    let path = path.strip_prefix(PREFIX).unwrap_or(path);
    let mut segments: Vec<&str> = path.split('/').collect();
    if segments.len() % 2 == 1 && segments.last().is_some_and(|last| last.is_empty()) {
        segments.pop();
    }
    let mut labels = Labels::default();
    let mut job = String::new();
    for (at, pair) in segments.chunks(2).enumerate() {
        let [name, value] = pair else {
            return Err(format!("the path has a label without a value: {:?}", pair[0]));
        };
        let text = decode_segment(name).zip(decode_segment(value));
        let (name, value) = text.ok_or("the path is not UTF-8")?;
        let (name, value) = match name.strip_suffix(BASE64) {
            None => (name.as_str(), value),
            Some(name) => {
                let bytes = base64(&value).ok_or_else(|| format!("{value:?} is no base64"))?;
                let text = String::from_utf8(bytes);
                (name, text.map_err(|_| format!("value of label {name} is not UTF-8"))?)
            }
        };
        if at == 0 {
            job = value;
        } else if is_legacy_label_name(name) && !name.starts_with("__") {
            labels.set(name, &value);
        } else {
            return Err(format!("improper label name {name:?}"));
        }
    }
    if job.is_empty() {
        return Err("job name is required".to_owned());
    }
    labels.set("job", &job);
    Ok(labels.build())
}

/// The bytes of a text in the alphabet of base64 for URLs (RFC 4648), whose padding may be missing;
/// `=` alone is an empty value.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0u32);
    for digit in digits.bytes() {
        let six = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' | b'+' => 62,
            b'_' | b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if 8 <= count {
            count -= 8;
            bytes.push((bits >> count).to_le_bytes()[0]);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0 && count < 6).then_some(bytes)
}

/// What a body has, with the labels of the group.
fn families(format: Format, body: &[u8], key: &LabelSet) -> Result<Families, Fault> {
    let histograms = HistogramOptions { native: true, classic: false, convert: false };
    let options = ReadOptions { histograms, start_timestamps: false };
    let mut reader = Reader::new(key);
    let result = read(format, options, body, &mut |entry| reader.take(entry));
    result.map_err(|error| Fault::Unreadable(Refused::Bad(error.to_string())))?;
    reader.tell();
    match reader.fault {
        Some(fault) => Err(Fault::Inconsistent(fault)),
        None => Ok(reader.families),
    }
}

/// Reads a body entry by entry.
struct Reader<'a> {
    key: &'a LabelSet,
    families: Families,
    family: Family,
    seen: BTreeSet<LabelSet>,
    fault: Option<String>,
}

impl<'a> Reader<'a> {
    fn new(key: &'a LabelSet) -> Reader<'a> {
        let (families, family, seen) = (Families::default(), Family::default(), BTreeSet::new());
        Reader { key, families, family, seen, fault: None }
    }

    fn take(&mut self, entry: &Entry<'_>) {
        match entry {
            Entry::Help { name, help } => {
                self.begin(name);
                self.family.help = Box::from(&**help);
            }
            Entry::Type { name, metric_type } => {
                self.begin(name);
                self.family.metric_type = *metric_type;
            }
            Entry::Unit { name, unit } => {
                self.begin(name);
                self.family.unit = Box::from(&**unit);
            }
            Entry::Comment { .. } => {}
            Entry::Sample(sample) => {
                let value = PushedValue::Float(sample.value);
                self.add(sample.series, sample.metric_type, sample.timestamp.is_some(), value);
            }
            Entry::Histogram(sample) => {
                let value = PushedValue::Native(Arc::new(sample.histogram.clone()));
                self.add(sample.series, sample.metric_type, sample.timestamp.is_some(), value);
            }
        }
    }

    fn begin(&mut self, name: &str) {
        if *self.family.name != *name {
            self.tell();
            self.family = Family { name: Box::from(name), ..Family::default() };
        }
    }

    /// Keeps what is said of the family before.
    fn tell(&mut self) {
        let family = std::mem::take(&mut self.family);
        if !family.name.is_empty() {
            self.families.described.push(family);
        }
    }

    fn add(&mut self, series: &[u8], of: MetricType, is_timed: bool, value: PushedValue) {
        let mut labels = Labels::default();
        if let Err(error) = parse_series(series, of, &mut labels) {
            self.fault.get_or_insert(error.to_string());
            return;
        }
        self.key.iter().for_each(|(name, value)| {
            labels.set(name, value);
        });
        let labels = labels.build();
        let name = labels.metric_name();
        if is_timed {
            self.fault.get_or_insert(format!("pushed metrics must not have timestamps: {name}"));
        }
        if matches!(name, PUSH_TIME | FAILURE_TIME) {
            self.fault.get_or_insert(format!("{name} is what this server says of a group"));
        }
        if !self.seen.insert(labels.clone()) {
            self.fault.get_or_insert(format!("{labels} is there twice"));
        }
        let family: Box<str> = Box::from(family_of(name, &self.family));
        self.families.series.entry(family).or_default().push((labels, value));
    }
}

/// Name of the family of a series: that of the last family where it has such a series.
fn family_of<'a>(name: &'a str, family: &'a Family) -> &'a str {
    let suffixes: &[&str] = match family.metric_type {
        MetricType::Histogram => &["_bucket", "_sum", "_count", "_created"],
        MetricType::GaugeHistogram => &["_bucket", "_gsum", "_gcount"],
        MetricType::Summary => &["_sum", "_count", "_created"],
        MetricType::Counter => &["_total", "_created"],
        MetricType::Info => &["_info"],
        _ => &[],
    };
    let rest = name.strip_prefix(&*family.name).filter(|_| !family.name.is_empty());
    match rest {
        Some(rest) if rest.is_empty() || suffixes.contains(&rest) => &family.name,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_path(path: &str, expected: &str) {
        let found = grouping(path).map_or_else(|error| error, |labels| labels.to_string());
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn paths_are_read_as_pushgateway_reads_them() {
        check_path("/metrics/job/a", r#"{job="a"}"#);
        check_path("/metrics/job/a/", r#"{job="a"}"#);
        check_path("/metrics/job/a%20b/instance/c:1", r#"{instance="c:1", job="a b"}"#);
        check_path("/metrics/job/a/b/1/b/2", r#"{b="2", job="a"}"#);
        check_path("/metrics/job/a/b/", r#"{job="a"}"#);
        check_path("/metrics/job/a/job/b", r#"{job="a"}"#);
        // Values with a slash, empty ones, padded or not: the examples of Pushgateway's README.
        check_path(
            "/metrics/job/directory_cleaner/path@base64/L3Zhci90bXA",
            r#"{job="directory_cleaner", path="/var/tmp"}"#,
        );
        check_path(
            "/metrics/job@base64/YS9i/path@base64/L3Zhci90bXA=",
            r#"{job="a/b", path="/var/tmp"}"#,
        );
        check_path("/metrics/job/example/first_label@base64/=", r#"{job="example"}"#);
        check_path(
            "/metrics/job/titan/name@base64/zqDPgc6_zrzOt864zrXPjc-C",
            r#"{job="titan", name="Προμηθεύς"}"#,
        );
        check_path("/metrics/job/a/b@base64/*", r#""*" is no base64"#);
        check_path("/metrics/job/a/b@base64/_w", "value of label b is not UTF-8");
        check_path("/metrics/job/", "job name is required");
        check_path("/metrics/job@base64/=", "job name is required");
        check_path("/metrics/job/a/b", r#"the path has a label without a value: "b""#);
        check_path("/metrics/job/a/1b/c", r#"improper label name "1b""#);
        check_path("/metrics/job/a/__name__/c", r#"improper label name "__name__""#);
    }

    /// Families and their series, or why not.
    fn shown(format: Format, body: &str) -> Vec<String> {
        let key = LabelSet::new([("job", "j"), ("instance", "i")]);
        match families(format, body.as_bytes(), &key) {
            Err(fault) => vec![format!("{fault:?}")],
            Ok(families) => {
                let all = families.series.iter();
                all.map(|(name, series)| {
                    let labels: Vec<String> = series.iter().map(|(l, _)| l.to_string()).collect();
                    format!("{name}: {}", labels.join(" "))
                })
                .collect()
            }
        }
    }

    #[test]
    fn series_belong_to_families_and_get_the_labels_of_the_group() {
        let body = "# TYPE h histogram\nh_bucket{le=\"1\",job=\"x\"} 1\nh_sum 2\nh_count 1\n\
                    # TYPE g gauge\ng 1\ng_sum 3\n";
        let expected = [
            r#"g: {__name__="g", instance="i", job="j"}"#,
            r#"g_sum: {__name__="g_sum", instance="i", job="j"}"#,
            concat!(
                r#"h: {__name__="h_bucket", instance="i", job="j", le="1.0"} "#,
                r#"{__name__="h_sum", instance="i", job="j"} "#,
                r#"{__name__="h_count", instance="i", job="j"}"#
            ),
        ];
        assert_eq!(shown(Format::Text(Dialect::Text), body), expected);
        let counter = "# TYPE c counter\nc_total 1\nc_created 5\n# EOF\n";
        let shown = shown(Format::Text(Dialect::OpenMetrics), counter);
        assert!(shown.len() == 1 && shown[0].starts_with("c: "), "{shown:?}");
    }

    #[test]
    fn what_makes_no_sense_in_a_group_is_a_failure() {
        let check = |body: &str, part: &str| {
            let shown = shown(Format::Text(Dialect::Text), body);
            assert!(shown[0].contains(part), "{shown:?}");
        };
        check("a 1 1000\n", "Inconsistent(\"pushed metrics must not have timestamps: a\")");
        check("push_time_seconds 1\n", "Inconsistent(");
        check("a{job=\"x\"} 1\na 2\n", "is there twice");
        check("a\n", "Unreadable(Bad(");
        check("a{ 1\n", "Unreadable(Bad(");
    }
}
