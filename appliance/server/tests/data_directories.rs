//! `cresset tsdb` beside Debian's prometheus and promtool, on real directories: what one writes
//! the other reads, to the sample. Without those programs the tests say so and check nothing.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use model::label_set::LabelSet;
use model::native_histogram::{CUSTOM_BUCKETS_SCHEMA, CounterResetHint, NativeHistogram, Span};
use model::staleness::stale_nan;
use model::time::TimestampMs;
use rustix::process::{Pid, Signal, kill_process};
use tsdb::directory::{Directory, DiskFiles};
use tsdb::files::FileWrite;
use tsdb::merge::Selection;
use tsdb::sample::{Counts, Sample, Value};
use tsdb::ulid::Ulid;
use tsdb::write::block_write::BlockWriter;

/// Longest wait for anything.
const DEADLINE_MS: u64 = 60_000;
/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Whether both programs are here; says so where they are not.
fn peers_are_here(test: &str) -> bool {
    let is_here = |name: &str| {
        let mut command = Command::new(name);
        command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let here = is_here("prometheus") && is_here("promtool");
    if !here {
        println!("SKIPPED {test}: 1 test, prometheus or promtool is not installed");
    }
    here
}

fn cresset(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cresset"));
    command.current_dir(directory).args(arguments).output().expect("run cresset")
}

/// What a run that must succeed writes to standard output.
#[track_caller]
fn written(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}: {stderr}", output.status);
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[track_caller]
fn tsdb(directory: &Path, arguments: &[&str]) -> String {
    written(&cresset(directory, &[&["tsdb"], arguments].concat()))
}

#[track_caller]
fn promtool(directory: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("promtool");
    written(&command.current_dir(directory).arg("tsdb").args(arguments).output().expect("run"))
}

/// Samples of promtool's dump, which wants a log's directory to be there.
#[track_caller]
fn promtool_dump(directory: &Path, data: &str) -> Vec<String> {
    std::fs::create_dir_all(directory.join(data).join("wal")).expect("make the directory");
    sorted(&promtool(directory, &["dump", data]))
}

#[track_caller]
fn dump(directory: &Path, data: &str) -> Vec<String> {
    sorted(&tsdb(directory, &["dump", data]))
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

#[track_caller]
fn check_same(found: &[String], expected: &[String]) {
    let differs = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert!(differs.is_none(), "{differs:?}");
    assert_eq!(found.len(), expected.len(), "lines");
    assert!(!found.is_empty(), "nothing was compared");
}

/// OpenMetrics of many series over `hours`, with every kind of value and label.
fn openmetrics(hours: u32) -> String {
    let mut text = String::from("# TYPE a gauge\n");
    let values = ["1", "2.5", "-0", "1e300", "NaN", "+Inf", "-Inf", "0.1", "123456789"];
    for series in 0..40u32 {
        for minute in 0..hours * 60 {
            let value = values[(minute * (series + 1)) as usize % values.len()];
            let (seconds, ms) = (1_700_000_000 + minute * 60, series * 7);
            let labels = format!("{{n=\"{series}\",q=\"x\\\"\\\\\\ny\"}}");
            text.push_str(&format!("a{labels} {value} {seconds}.{ms:03}\n"));
        }
    }
    text.push_str("# TYPE b counter\n");
    for minute in 0..hours * 60 {
        text.push_str(&format!("b_total {minute} {}\n", 1_700_000_000 + minute * 60));
    }
    text.push_str("# EOF\n");
    text
}

#[test]
fn blocks_from_openmetrics_are_promtools() {
    if !peers_are_here("blocks_from_openmetrics_are_promtools") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    std::fs::write(at.join("in.om"), openmetrics(7)).expect("write");
    let from = ["create-blocks-from", "openmetrics", "in.om"];
    let theirs = promtool(at, &[&from[..], &["theirs"]].concat());
    let ours = tsdb(at, &[&from[..], &["ours"]].concat());
    // Names of blocks are chance and sizes differ by how postings are laid out.
    let columns = |text: &str| -> Vec<Vec<String>> {
        let row = |line: &str| line.split_whitespace().skip(1).map(str::to_owned).collect();
        let rows: Vec<Vec<String>> = text.lines().skip(1).map(row).collect();
        rows.into_iter().map(|row| row[..row.len() - 1].to_vec()).collect()
    };
    assert_eq!(columns(&ours), columns(&theirs));
    let expected = promtool_dump(at, "theirs");
    check_same(&promtool_dump(at, "ours"), &expected);
    check_same(&dump(at, "theirs"), &expected);
    check_same(&dump(at, "ours"), &expected);
    assert_eq!(tsdb(at, &["list", "ours"]), promtool(at, &["list", "ours"]));
    check_analysis(at, "ours");
    // Text and back again.
    std::fs::write(at.join("again.om"), tsdb(at, &["dump-openmetrics", "ours"])).expect("write");
    tsdb(at, &["create-blocks-from", "openmetrics", "again.om", "again"]);
    check_same(&promtool_dump(at, "again"), &expected);
}

/// Counts of the analysis, and the multiset of the numbers of each table.
#[track_caller]
fn check_analysis(at: &Path, data: &str) {
    let parts = |text: &str| -> Vec<Vec<String>> {
        let numbers = |part: &str| {
            let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
            part.lines().filter(|line| line.as_bytes()[0].is_ascii_digit()).map(first).collect()
        };
        text.split("\n\n").skip(1).map(numbers).collect()
    };
    let head = |text: &str| -> Vec<String> {
        let text = text.split("\n\n").next().unwrap_or_default().replace("Total Series", "Series");
        text.lines().map(str::to_owned).collect()
    };
    let (ours, theirs) = (tsdb(at, &["analyze", data]), promtool(at, &["analyze", data]));
    assert_eq!(head(&ours), head(&theirs));
    assert_eq!(parts(&ours), parts(&theirs)[..6]);
}

/// A target that counts, and tells the past: late samples and those in order.
fn serve_target(listener: TcpListener) {
    std::thread::spawn(move || {
        for (scrape, stream) in (0i64..).zip(listener.incoming()) {
            let Ok(mut stream) = stream else { return };
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let now = machine::clock::now().wall.0;
            // Each of the late ones is an hour to go, ever further back.
            let late = now - 60_000 - scrape * 5_000;
            let mut body = format!("counts_total {scrape}\nlate_value {scrape} {late}\n");
            for series in 0..30 {
                body.push_str(&format!("value{{n=\"{series}\"}} {}\n", scrape * series));
            }
            let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n";
            let _ =
                stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
        }
    });
}

/// A process that is killed when the test ends.
struct Running(Child);

impl Running {
    fn end(&mut self, signal: Signal) {
        let _ = kill_process(Pid::from_child(&self.0), signal);
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end(Signal::KILL);
    }
}

/// A port that is free.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address")
}

fn start_prometheus(at: &Path, data: &str, config: &str) -> (Running, SocketAddr) {
    let address = free_address();
    std::fs::write(at.join("prometheus.yml"), config).expect("write");
    let child = Command::new("prometheus")
        .current_dir(at)
        .arg("--config.file=prometheus.yml")
        .arg(format!("--storage.tsdb.path={data}"))
        .arg("--storage.tsdb.retention.time=10y")
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    (Running(child.expect("start prometheus")), address)
}

fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let text = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(address).map_err(text)?;
    stream.set_read_timeout(Some(Duration::from_millis(DEADLINE_MS))).map_err(text)?;
    let head = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
    stream.write_all(head.as_bytes()).map_err(text)?;
    let mut response = String::new();
    stream.read_to_string(&mut response).map_err(text)?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or("no head")?;
    if head.contains(" 200 ") { Ok(body.to_owned()) } else { Err(response) }
}

#[track_caller]
fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<bool, String>) {
    let deadline = machine::clock::tick().after_ms(DEADLINE_MS);
    loop {
        let last = is_so();
        if last == Ok(true) {
            return;
        }
        assert!(machine::clock::tick() < deadline, "{what}: last {last:?}");
        std::thread::park_timeout(LOOK);
    }
}

/// A data directory that a Prometheus ended over: log, head chunks, late samples.
///
/// One that ends in order writes its head chunks. One that starts there again makes blocks of the
/// late samples, and, killed, tears its log.
fn end_prometheus(at: &Path, target: SocketAddr, (count, signal): (u32, Signal)) {
    let config = format!(
        "global: {{scrape_interval: 10ms, scrape_timeout: 10ms}}\n\
         storage: {{tsdb: {{out_of_order_time_window: 10h}}}}\n\
         scrape_configs:\n- job_name: t\n  static_configs: [{{targets: ['{target}']}}]\n"
    );
    let (mut prometheus, address) = start_prometheus(at, "old", &config);
    wait_for("samples", || {
        let query = "/api/v1/query?query=count_over_time(counts_total[1h])";
        get(address, &format!("{query}>{count}")).map(|body| body.contains("\"value\""))
    });
    prometheus.end(signal);
}

#[test]
fn a_killed_prometheus_is_taken_over_whole() {
    if !peers_are_here("a_killed_prometheus_is_taken_over_whole") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let target = listener.local_addr().expect("its address");
    serve_target(listener);
    end_prometheus(at, target, (300, Signal::TERM));
    check_same(&dump(at, "old"), &promtool_dump(at, "old"));
    tsdb(at, &["snapshot", "old", "copy"]);
    check_same(&promtool_dump(at, "copy"), &dump(at, "old"));
    // A block from before, so that block and head are merged.
    std::fs::write(at.join("in.om"), openmetrics(3)).expect("write");
    tsdb(at, &["create-blocks-from", "openmetrics", "in.om", "old"]);
    end_prometheus(at, target, (600, Signal::KILL));
    let before = fingerprint(&at.join("old"));
    // Of this one promtool 2.42 leaves out what is in order since the first block of late samples.
    let expected = dump(at, "old");
    let of = |name: &str| expected.iter().filter(|line| line.contains(name)).count();
    let counts = ["\"late_value", "\"counts_total", "\"b_total"].map(of);
    assert!(500 < counts[0] && 600 <= counts[1] && 180 == counts[2], "{counts:?}");
    let imported = tsdb(at, &["import", "old", "--storage.tsdb.path", "new"]);
    let count = format!("{0} samples read = {0} stored", expected.len());
    assert!(imported.contains(&count), "{imported}, not {count}");
    check_same(&dump(at, "new"), &expected);
    let again = tsdb(at, &["import", "old", "--storage.tsdb.path", "new"]);
    assert!(again.contains("(already done)") && again.contains(&count), "{again}");
    assert!(tsdb(at, &["verify", "new"]).contains(" 0 damages"));
    // The server refuses the old one and leaves it as it is.
    let refused = cresset(at, &["--storage.tsdb.path", "old"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("cresset tsdb import old"), "{text}");
    assert_eq!(fingerprint(&at.join("old")), before, "the source has changed");
    // What goes back to Prometheus.
    tsdb(at, &["export", "new", "back"]);
    check_same(&promtool_dump(at, "back"), &expected);
    tsdb(at, &["snapshot", "new", "own-copy"]);
    check_same(&dump(at, "own-copy"), &expected);
}

/// Starts our server on a data directory.
fn start_cresset(at: &Path, data: &str) -> (Running, SocketAddr) {
    let address = free_address();
    std::fs::write(at.join("cresset.yml"), "scrape_configs: []\n").expect("write");
    let child = Command::new(env!("CARGO_BIN_EXE_cresset"))
        .current_dir(at)
        .arg("--config.file=cresset.yml")
        .arg(format!("--storage.tsdb.path={data}"))
        .arg("--storage.tsdb.retention.time=10y")
        .arg(format!("--web.listen-address={address}"))
        .stdout(Stdio::null())
        .spawn();
    (Running(child.expect("start cresset")), address)
}

/// The data of an answer, its series in one order.
#[track_caller]
fn answer(address: SocketAddr, path: &str) -> serde_json::Value {
    let body = get(address, path).expect("an answer");
    let mut json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(json["status"], "success", "{body}");
    let mut data = json["data"].take();
    if let Some(series) = data.get_mut("result").and_then(|result| result.as_array_mut()) {
        series.sort_by_key(|series| series["metric"].to_string());
    }
    data
}

#[test]
fn both_servers_answer_alike() {
    if !peers_are_here("both_servers_answer_alike") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    std::fs::write(at.join("in.om"), openmetrics(7)).expect("write");
    tsdb(at, &["create-blocks-from", "openmetrics", "in.om", "old"]);
    tsdb(at, &["import", "old", "--storage.tsdb.path", "new"]);
    tsdb(at, &["export", "new", "back"]);
    let (_theirs, theirs) = start_prometheus(at, "back", "scrape_configs: []\n");
    let (_ours, ours) = start_cresset(at, "new");
    for address in [theirs, ours] {
        wait_for("ready", || get(address, "/-/ready").map(|_| true));
    }
    let range = "start=1699999000&end=1700026000&step=333";
    let mut paths = vec![
        "/api/v1/labels?start=1699999000&end=1700026000".to_owned(),
        "/api/v1/label/n/values?start=1700003600&end=1700007200".to_owned(),
        "/api/v1/query?query=count(a)&time=1700010000".to_owned(),
    ];
    for query in [
        "a",
        "b_total",
        "sum(rate(b_total[10m]))",
        "sum%20by(n)(count_over_time(a[30m]))",
        "max_over_time(a%7Bn%3D~%221.*%22%7D[1h])",
        "absent(a)",
        "topk(3,timestamp(a))",
    ] {
        paths.push(format!("/api/v1/query_range?query={query}&{range}"));
    }
    for path in paths {
        let (ours, theirs) = (answer(ours, &path), answer(theirs, &path));
        let result = theirs.get("result").and_then(|result| result.as_array());
        assert!(result.is_none_or(|all| !all.is_empty()), "{path}");
        assert_eq!(ours, theirs, "{path}");
    }
}

/// Every file below a directory, with its bytes' checksum.
fn fingerprint(directory: &Path) -> BTreeMap<PathBuf, (u64, u32)> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(&next).expect("list") {
            let path = entry.expect("list").path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let bytes = std::fs::read(&path).expect("read");
                found.insert(path, (bytes.len() as u64, crc32c::crc32c(&bytes)));
            }
        }
    }
    found
}

#[test]
fn an_import_that_is_killed_goes_on() {
    if !peers_are_here("an_import_that_is_killed_goes_on") {
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    std::fs::write(at.join("in.om"), openmetrics(60)).expect("write");
    tsdb(at, &["create-blocks-from", "openmetrics", "in.om", "old"]);
    let expected = dump(at, "old");
    let import = ["tsdb", "import", "old", "--storage.tsdb.path", "new"];
    let mut kills = 0;
    for delay_ms in (1u64..).step_by(7).take(25) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cresset"));
        command.current_dir(at).args(import).stdout(Stdio::null()).stderr(Stdio::null());
        let mut running = Running(command.spawn().expect("start"));
        std::thread::park_timeout(Duration::from_millis(delay_ms));
        if running.0.try_wait().expect("ask").is_some_and(|status| status.success()) {
            break;
        }
        kills += 1;
    }
    println!("killed {kills} times");
    let imported = written(&cresset(at, &import));
    let count = format!("{0} samples read = {0} stored", expected.len());
    assert!(imported.contains(&count), "{imported}, not {count}");
    check_same(&dump(at, "new"), &expected);
    assert!(tsdb(at, &["verify", "new"]).contains(" 0 damages"));
}

/// Samples of every kind at rising times.
fn every_kind() -> Vec<Sample> {
    let floats = [0.0, -0.0, 1.5, f64::INFINITY, f64::from_bits(0x7ff8_0000_0000_1234), f64::NAN];
    let mut values: Vec<Value> = floats.into_iter().map(Value::Float).collect();
    values.push(Value::Float(stale_nan()));
    let native = NativeHistogram {
        schema: 3,
        zero_threshold: 0.001,
        zero_count: 2.0,
        count: 12.0,
        sum: 34.5,
        positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
        positive_buckets: vec![3.0, 4.0, 1.0],
        negative_spans: vec![Span { offset: 0, length: 1 }],
        negative_buckets: vec![2.0],
        ..NativeHistogram::default()
    };
    let gauge = CounterResetHint::Gauge;
    let fractions = NativeHistogram { count: 12.5, zero_count: 2.5, ..native.clone() };
    let custom = NativeHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        zero_threshold: 0.0,
        zero_count: 0.0,
        count: 8.0,
        negative_spans: Vec::new(),
        negative_buckets: Vec::new(),
        positive_spans: vec![Span { offset: 0, length: 3 }],
        custom_values: [0.1, 2.5, 10.0].into(),
        ..native.clone()
    };
    let stale = NativeHistogram { sum: stale_nan(), ..NativeHistogram::default() };
    for (counts, native) in [
        (Counts::Integer, native.clone()),
        (Counts::Integer, NativeHistogram { count: 13.0, zero_count: 3.0, ..native.clone() }),
        (Counts::Integer, NativeHistogram { counter_reset_hint: gauge, ..native.clone() }),
        (Counts::Float, fractions),
        (Counts::Integer, custom),
        (Counts::Integer, native),
        (Counts::Integer, stale),
    ] {
        let Sample { value, .. } = Sample::histogram(0, counts, native);
        values.push(value);
    }
    let at = |(at, value): (i64, Value)| Sample { value, ..Sample::float(at * 15_000, 0.0) };
    (113_333_333i64..).zip(values).map(at).collect()
}

fn read_all(directory: &Path) -> Vec<(String, Vec<Sample>)> {
    let directory = Directory::open(directory).expect("it opens");
    let mut stream = directory.series(Selection::default()).expect("it opens");
    let mut all = Vec::new();
    while let Some(labels) = stream.next_series().expect("it reads") {
        let mut samples = Vec::new();
        while let Some(sample) = stream.next_sample().expect("it reads") {
            samples.push(sample);
        }
        all.push((labels.to_string(), samples));
    }
    all
}

#[test]
fn every_float_and_histogram_goes_there_and_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let files: Arc<dyn FileWrite> = Arc::new(DiskFiles::new(&at.join("old")));
    let (min, max) = (TimestampMs(0), TimestampMs(i64::MAX));
    let mut writer = BlockWriter::new(&files, Ulid::new(1, 1), min, max).expect("a writer");
    let samples = every_kind();
    for name in ["a", "b.c d", "é"] {
        writer.series(&LabelSet::new([("__name__", name), ("x", "\n\"\\")])).expect("in order");
        writer.samples(&samples).expect("in order");
    }
    writer.finish().expect("written");
    let imported = tsdb(at, &["import", "old", "--storage.tsdb.path", "new"]);
    assert!(imported.contains("42 samples read = 42 stored"), "{imported}");
    tsdb(at, &["export", "new", "back"]);
    let (old, back) = (read_all(&at.join("old")), read_all(&at.join("back")));
    assert_eq!(old.len(), 3);
    for ((name, old), (_, back)) in old.iter().zip(&back) {
        assert_eq!(old.len(), back.len(), "{name}");
        for (old, back) in old.iter().zip(back) {
            let both_stale = old.value.is_stale() && back.value.is_stale();
            let alike = both_stale && old.timestamp == back.timestamp;
            assert!(alike || old.same_bits(back), "{name}: {old:?}, not {back:?}");
        }
    }
}

#[test]
fn damage_is_found_named_and_told_by_the_exit_code() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    std::fs::write(at.join("in.om"), openmetrics(30)).expect("write");
    tsdb(at, &["create-blocks-from", "openmetrics", "in.om", "old"]);
    tsdb(at, &["import", "old", "--storage.tsdb.path", "new"]);
    let flip = |path: &Path, from_front: usize| {
        let mut bytes = std::fs::read(path).expect("read");
        bytes[from_front] ^= 1;
        std::fs::write(path, bytes).expect("write");
    };
    let block = "shard-0/blocks/00000000000000000001.block";
    flip(&at.join("new").join(block), 100);
    let found = cresset(at, &["tsdb", "verify", "new"]);
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    assert_eq!(found.status.code(), Some(1), "{text}");
    let place = format!("{block}, byte 0: checksum of a page does not match; lost: up to ");
    assert!(text.contains(&place), "{text}");
    let json = cresset(at, &["tsdb", "verify", "--json", "new"]);
    let last = String::from_utf8_lossy(&json.stdout).lines().last().map(str::to_owned);
    let last: serde_json::Value = serde_json::from_str(&last.expect("a line")).expect("JSON");
    assert_eq!(last["damages"], 1);

    let names = std::fs::read_dir(at.join("old")).expect("list");
    let block = names.map(|entry| entry.expect("list").file_name()).min().expect("a block");
    let block = block.into_string().expect("text");
    flip(&at.join("old").join(&block).join("chunks/000001"), 40);
    let found = cresset(at, &["tsdb", "verify", "old"]);
    let text = String::from_utf8_lossy(&found.stdout).into_owned();
    assert_eq!(found.status.code(), Some(1), "{text}");
    let place = format!("{block}/chunks/000001, byte 8: checksum of a chunk is ");
    assert!(text.contains(&place), "{text}");
}

#[test]
fn what_is_no_data_directory_is_told_and_a_reader_that_leaves_is_no_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    let refused = cresset(at, &["tsdb", "list", "."]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("is no data directory"), "{text}");
    std::fs::write(at.join("in.om"), openmetrics(30)).expect("write");
    tsdb(at, &["create-blocks-from", "openmetrics", "in.om", "old"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_cresset"));
    let command = command.current_dir(at).args(["tsdb", "dump", "old"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("start");
    drop(child.stdout.take());
    let ended = child.wait_with_output().expect("ended");
    let text = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success() && text.is_empty(), "{:?} {text}", ended.status);
}

#[test]
fn two_values_of_one_time_are_refused_by_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    std::fs::write(at.join("in.om"), "a 1 1\na 2 1\n# EOF\n").expect("write");
    let refused = cresset(at, &["tsdb", "create-blocks-from", "openmetrics", "in.om", "out"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("{__name__=\"a\"} has two values at 1000"), "{text}");
    std::fs::write(at.join("in.om"), "a 1\n# EOF\n").expect("write");
    let refused = cresset(at, &["tsdb", "create-blocks-from", "openmetrics", "in.om", "out"]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(text.contains("a has no timestamp"), "{text}");
}
