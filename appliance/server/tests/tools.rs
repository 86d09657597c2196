//! The command line: the binary beside Debian's promtool, over the same files and servers.
//!
//! A promtool that is not installed is said aloud; ours is tested all the same.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use crate::server::Server;

#[path = "process/server.rs"]
#[expect(dead_code, reason = "other tests use more of it")]
mod server;

/// Runs a program with `input` on standard input.
fn run_with(program: &str, directory: &Path, arguments: &[&str], input: &str) -> Option<Output> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(directory).stdin(Stdio::piped());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        println!("skipped: {program} is not installed");
        return None;
    };
    // One that does not read its input closes it.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    Some(child.wait_with_output().expect("it ends"))
}

fn ours(directory: &Path, arguments: &[&str], input: &str) -> Output {
    run_with(env!("CARGO_BIN_EXE_cresset"), directory, arguments, input).expect("our binary")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Both give the same exit code, and the same on standard output where `is_same`.
#[track_caller]
fn compare(directory: &Path, arguments: &[&str], input: &str, code: i32, is_same: bool) -> Output {
    let own = ours(directory, arguments, input);
    assert_eq!(own.status.code(), Some(code), "{arguments:?}: {own:?}");
    if let Some(theirs) = run_with("promtool", directory, arguments, input) {
        assert_eq!(theirs.status.code(), Some(code), "{arguments:?}: promtool: {theirs:?}");
        if is_same {
            assert_eq!(text(&own.stdout), text(&theirs.stdout), "{arguments:?}");
        }
    }
    own
}

#[test]
fn rule_files_are_judged_as_promtool_judges_them() {
    let directory = tempfile::tempdir().expect("directory");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("write");
    };
    write("good.yml", "groups:\n- name: a\n  rules:\n  - {record: b, expr: sum(c)}\n");
    write("bad.yml", "groups:\n- name: a\n  rules:\n  - {record: b, expr: rate(c)}\n");
    write(
        "twice.yml",
        "groups:\n- name: a\n  rules: &r\n  - {record: b, expr: c}\n- name: d\n  rules: *r\n",
    );
    write(
        "template.yml",
        "groups:\n- name: a\n  rules:\n  - {alert: b, expr: c, annotations: {x: '{{ $label }}'}}\n",
    );
    let here = directory.path();
    compare(here, &["check", "rules", "good.yml"], "", 0, true);
    // After a fault 2.42 writes an empty line more than 3.14.
    let bad = compare(here, &["check", "rules", "bad.yml"], "", 1, false);
    assert!(
        text(&bad.stderr).contains(
            "bad.yml: 4:23: group \"a\", rule 1, \"b\": could not parse expression: 1:6: parse \
             error: expected type range vector in call to function \"rate\", got instant vector"
        ),
        "{}",
        text(&bad.stderr)
    );
    let twice = compare(here, &["check", "rules", "twice.yml"], "", 0, false);
    assert!(text(&twice.stderr).contains("1 duplicate rule(s) found.\nMetric: b"), "{twice:?}");
    compare(here, &["check", "rules", "--lint-fatal", "twice.yml"], "", 3, false);
    compare(here, &["check", "rules", "--lint=none", "twice.yml"], "", 0, true);
    let template = compare(here, &["check", "rules", "template.yml"], "", 1, false);
    assert!(text(&template.stderr).contains("undefined variable \"$label\""), "{template:?}");
    let input = std::fs::read_to_string(here.join("good.yml")).expect("read");
    let piped = ours(here, &["check", "rules"], &input);
    assert_eq!(text(&piped.stdout), "Checking standard input\n  SUCCESS: 1 rules found\n\n");
}

#[test]
fn configurations_are_judged_as_promtool_judges_them() {
    let directory = tempfile::tempdir().expect("directory");
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join(name), text).expect("write");
    };
    write("good.yml", "scrape_configs: [{job_name: a, static_configs: [{targets: ['x:1']}]}]\n");
    write("bad.yml", "scrape_configs: [{job_name: a, scrape_intervall: 1s}]\n");
    write(
        "secret.yml",
        "scrape_configs: [{job_name: a, authorization: {credentials_file: none}}]\n",
    );
    write("web.yml", "basic_auth_users: {}\n");
    let here = directory.path();
    compare(here, &["check", "config", "good.yml"], "", 0, true);
    compare(here, &["check", "config", "bad.yml"], "", 1, true);
    compare(here, &["check", "config", "secret.yml"], "", 1, true);
    compare(here, &["check", "config", "--syntax-only", "secret.yml"], "", 0, true);
    let web = compare(here, &["check", "web-config", "web.yml"], "", 0, true);
    assert_eq!(text(&web.stderr), "web.yml SUCCESS\n");
    // What promtool 2.42 has not.
    write("slow.yml", "scrape_configs: [{job_name: a, scrape_interval: 10m}]\n");
    let long = ["check", "config", "--lint=too-long-scrape-interval", "--lint-fatal", "slow.yml"];
    let told = ours(here, &long, "");
    assert_eq!(told.status.code(), Some(3), "{told:?}");
    assert!(text(&told.stderr).contains("job: a, interval: 10m"), "{told:?}");
    assert_eq!(ours(here, &["check", "config", "none.yml"], "").status.code(), Some(1));
    // A command line that is none.
    assert_eq!(ours(here, &["check", "configs", "good.yml"], "").status.code(), Some(1));
    assert_eq!(ours(here, &["--config.fil=x"], "").status.code(), Some(2));
}

#[test]
fn metrics_are_judged_as_promtool_judges_them() {
    let directory = tempfile::tempdir().expect("directory");
    let here = directory.path();
    let good = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\"} 1\na_total{b=\"d\"} 1\n";
    let bad = "# TYPE a counter\na{le=\"1\"} 1\n# HELP b_ms y\n# TYPE b_ms gauge\nb_ms 1\n";
    compare(here, &["check", "metrics"], good, 0, true);
    let told = compare(here, &["check", "metrics"], bad, 3, true);
    if let Some(theirs) = run_with("promtool", here, &["check", "metrics"], bad) {
        assert_eq!(text(&told.stderr), text(&theirs.stderr));
    }
    compare(here, &["check", "metrics"], "a b c\n", 1, true);
    let extended = ours(here, &["check", "metrics", "--extended"], good);
    let expected = "Metric     Cardinality    Percentage    \n\
                    a_total    2              100.00%       \n\
                    Total      2              100%          \n";
    assert_eq!(text(&extended.stdout), expected);
}

#[test]
fn expressions_are_laid_out_and_edited() {
    let directory = tempfile::tempdir().expect("directory");
    let promql = |arguments: &[&str]| {
        let output = ours(directory.path(), &[&["promql"], arguments].concat(), "");
        (output.status.code(), text(&output.stdout))
    };
    let (code, shown) = promql(&["format", "sum(rate(a[5m]))by(b)"]);
    assert_eq!((code, shown.as_str()), (Some(0), "sum by (b) (rate(a[5m]))\n"));
    let (_, shown) = promql(&["label-matchers", "set", "-t", "=~", "a / b", "job", "x|y"]);
    assert_eq!(shown, "a{job=~\"x|y\"} / b{job=~\"x|y\"}\n");
    let (_, shown) = promql(&["label-matchers", "delete", "a{job=\"x\"}", "job"]);
    assert_eq!(shown, "a\n");
    assert_eq!(promql(&["format", "sum("]).0, Some(1));
}

#[test]
fn servers_are_asked_as_promtool_asks_them() {
    let directory = tempfile::tempdir().expect("directory");
    let server = Server::start(directory.path(), &["--web.enable-remote-write-receiver"]);
    let url = format!("http://{}", server.address);
    let here = directory.path();
    // What promtool 2.42 has not.
    let healthy = ours(here, &["check", "healthy", "--url", &url], "");
    assert_eq!(healthy.status.code(), Some(0));
    assert_eq!(text(&healthy.stderr), "  SUCCESS:  Prometheus Server is Healthy.\n\n");
    assert_eq!(ours(here, &["check", "ready", "--url", &url], "").status.code(), Some(0));
    // Samples at a time of their own, so that both see the same.
    let now_ms = machine::clock::now().wall.0 - 1000;
    let time = format!("{}.{:03}", now_ms / 1000, now_ms % 1000);
    let samples = format!("# TYPE pushed_total counter\npushed_total{{x=\"a b\"}} 1.5 {now_ms}\n");
    let pushed = ours(here, &["push", "metrics", &url, "--label=job=test"], &samples);
    assert_eq!(pushed.status.code(), Some(0), "{pushed:?}");
    let expected = "Parsing standard input\n  SUCCESS: metrics pushed to remote write.\n";
    assert_eq!(text(&pushed.stdout), expected);
    let second = ["push", "metrics", &url, "--protobuf_message=io.prometheus.write.v2.Request"];
    let pushed = ours(here, &second, "pushed_again 2\n");
    assert_eq!(pushed.status.code(), Some(0), "{pushed:?}");
    assert_eq!(server.values("pushed_again{job=\"promtool\"}"), Ok(vec![2.0]));
    let time_flag = format!("--time={time}");
    let instant =
        compare(here, &["query", "instant", &time_flag, &url, "pushed_total"], "", 0, true);
    let line = format!("pushed_total{{job=\"test\", x=\"a b\"}} => 1.5 @[{time}]\n");
    assert_eq!(text(&instant.stdout), line);
    let (start, end) = (format!("--start={time}"), format!("--end={}", now_ms / 1000 + 3));
    let range = ["query", "range", &start, &end, "--step=1s", &url, "pushed_total"];
    compare(here, &range, "", 0, true);
    compare(here, &["query", "series", &url, "--match=pushed_total"], "", 0, true);
    compare(here, &["query", "labels", &url, "x"], "", 0, true);
    compare(here, &["query", "instant", &url, "1+"], "", 1, true);
    compare(here, &["query", "instant", &time_flag, &url, "1+1"], "", 0, true);
    compare(here, &["query", "instant", &time_flag, &url, "absent_metric"], "", 0, true);
    let json = ["query", "-o", "json", "instant", &time_flag, &url, "pushed_total"];
    let json = text(&ours(here, &json, "").stdout);
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["value"][1], "1.5");
    let table =
        ours(here, &["query", "-o", "table", "instant", &time_flag, &url, "pushed_total"], "");
    assert!(text(&table.stdout).starts_with("SERIES"), "{table:?}");
    let analyze =
        ["query", "analyze", "--server", &url, "--type=histogram", "--match=pushed_total"];
    assert_eq!(ours(here, &analyze, "").status.code(), Some(0));
    let debug = ours(here, &["debug", "all", &url], "");
    assert_eq!(debug.status.code(), Some(0), "{debug:?}");
    let listed = run_with("tar", here, &["tzf", "debug.tar.gz"], "").expect("tar");
    assert!(text(&listed.stdout).contains("runtimeinfo.json\n"), "{listed:?}");
    assert!(text(&listed.stdout).contains("metrics.txt\n"), "{listed:?}");
    assert_eq!(server.end(Signal::TERM).code(), Some(0));
    // Nobody is there.
    assert_eq!(ours(here, &["check", "healthy", "--url", &url], "").status.code(), Some(1));
    compare(here, &["query", "instant", &url, "up"], "", 1, true);
}

/// A job's targets and what relabelling makes of them.
#[test]
fn targets_of_a_job_are_shown() {
    let directory = tempfile::tempdir().expect("directory");
    let config = "scrape_configs:
  - job_name: a
    file_sd_configs: [{files: [targets.json]}]
    relabel_configs: [{target_label: x, replacement: y}]
";
    std::fs::write(directory.path().join("p.yml"), config).expect("write");
    let targets = "[{\"targets\": [\"h:1\"], \"labels\": {\"rack\": \"7\"}}]";
    std::fs::write(directory.path().join("targets.json"), targets).expect("write");
    let find = |job: &str| {
        let arguments = ["check", "service-discovery", "--timeout=1s", "p.yml", job];
        ours(directory.path(), &arguments, "")
    };
    let found = find("a");
    let json: serde_json::Value = serde_json::from_slice(&found.stdout).expect("JSON");
    assert_eq!(json[0]["labels"]["instance"], "h:1");
    assert_eq!(json[0]["labels"]["x"], "y");
    assert_eq!(json[0]["discoveredLabels"]["rack"], "7");
    let none = find("b");
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("Job b not found. Select one of:\n\ta"), "{none:?}");
}

#[test]
fn a_reader_that_leaves_is_no_fault() {
    let directory = tempfile::tempdir().expect("directory");
    let mut samples = String::new();
    for at in 0..200_000 {
        samples.push_str(&format!("m_{at} 1\n"));
    }
    std::fs::write(directory.path().join("m.prom"), samples).expect("write");
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "{} check metrics --extended --lint=none <m.prom | head -1",
            env!("CARGO_BIN_EXE_cresset")
        ))
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    assert!(child.wait().expect("it ends").success());
    let output = child.wait_with_output().expect("output");
    assert_eq!(text(&output.stderr), "");
}
