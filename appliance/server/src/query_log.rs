//! Query log: a line of JSON a query, in the file that `query_log_file` names.
//!
//! Path: `own_backend` hears of a finished query → **query log** → the file.
//! Never: fails a query; a line that cannot be written is counted.
//! Source: `Engine.exec` of Prometheus 3.14 (keys and order of a line).

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use api::backend::Finished;
use api::query_stats::stats_json;
use api::timestamp::format_rfc3339;
use model::time::TimestampMs;
use serde_json::json;

/// An open log.
#[derive(Debug)]
pub struct QueryLog {
    path: PathBuf,
    #[expect(clippy::disallowed_types, reason = "the server's own file")]
    file: std::fs::File,
    is_failing: AtomicBool,
}

impl QueryLog {
    /// Opens the file at `path` to append; makes it when it is not there.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<QueryLog> {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
        Ok(QueryLog { path: path.to_owned(), file, is_failing: AtomicBool::new(false) })
    }

    /// Appends a line about a query that ended at `now`; tells whether that worked. The first of
    /// a row of failures goes to the server's own log.
    pub fn append(&self, finished: &Finished<'_>, now: TimestampMs) -> bool {
        let written = (&self.file).write_all(line(finished, now).as_bytes());
        let fails = written.is_err();
        if let (Err(error), false) = (written, self.is_failing.swap(fails, Ordering::Relaxed)) {
            let path = self.path.display();
            tracing::error!(%path, %error, "the query log takes no line");
        }
        !fails
    }
}

fn line(finished: &Finished<'_>, now: TimestampMs) -> String {
    let (query, active) = (finished.query, finished.active);
    let time = format_rfc3339(now);
    let params = json!({
        "query": query.text,
        "start": with_millis(query.start),
        "end": with_millis(query.end),
        "step": query.step_ms / 1000,
    });
    let error = finished.error.map(|text| format!("\"error\":{},", json!(text)));
    let stats = stats_json(finished.stats, &finished.timings);
    let request = json!({
        "clientIP": active.client.map(|address| address.to_string()).unwrap_or_default(),
        "method": active.method,
        "path": active.handler,
    });
    format!(
        "{{\"time\":\"{time}\",\"level\":\"INFO\",\"msg\":\"promql query logged\",\
         \"params\":{params},{}\"stats\":{stats},\"httpRequest\":{request}}}\n",
        error.unwrap_or_default()
    )
}

/// RFC 3339 with three digits of milliseconds, always.
fn with_millis(time: TimestampMs) -> String {
    let whole = format_rfc3339(TimestampMs(time.0.div_euclid(1000) * 1000));
    let seconds = whole.strip_suffix('Z').unwrap_or(&whole);
    format!("{seconds}.{:03}Z", time.0.rem_euclid(1000))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::active::{ActiveQueries, Described};
    use api::query_stats::Timings;
    use model::time::{Now, Tick};
    use query::evaluate::{EngineOptions, Query, Stats};

    use super::*;

    fn appended(log: &QueryLog, error: Option<&str>) -> bool {
        let received = Now { tick: Tick(0), wall: TimestampMs(0) };
        let (handler, client) = ("/api/v1/query_range", "127.0.0.1".parse().ok());
        let described = Described { text: "up", handler, method: "GET", client, received };
        let admitted = Arc::<ActiveQueries>::default().admit(&described);
        let query = Query {
            text: "up > \"é\"".to_owned(),
            start: TimestampMs(0),
            end: TimestampMs(60_500),
            step_ms: 15_000,
            lookback_ms: 0,
            options: EngineOptions::default(),
        };
        let stats = Stats { samples_total: 4, ..Stats::default() };
        let finished = Finished {
            query: &query,
            active: &admitted.query,
            error,
            stats: &stats,
            timings: Timings::default(),
            is_sorted: true,
        };
        log.append(&finished, TimestampMs(1_000_250))
    }

    #[test]
    fn a_query_is_a_line_with_upstreams_keys() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("queries.log");
        std::fs::write(&path, "before\n").expect("write");
        let log = QueryLog::open(&path).expect("open");
        assert!(appended(&log, None) && appended(&log, Some("no \"time\"")));
        let text = std::fs::read_to_string(&path).expect("read");
        let lines: Vec<&str> = text.lines().collect();
        let start = concat!(
            r#"{"time":"1970-01-01T00:16:40.25Z","level":"INFO","msg":"promql query logged","#,
            r#""params":{"end":"1970-01-01T00:01:00.500Z","query":"up > \"é\"","#,
            r#""start":"1970-01-01T00:00:00.000Z","step":15},"#,
        );
        let end = concat!(
            r#""httpRequest":{"clientIP":"127.0.0.1","method":"GET","#,
            r#""path":"/api/v1/query_range"}}"#,
        );
        assert_eq!((lines.len(), lines[0]), (3, "before"));
        assert!(lines[1].starts_with(&format!("{start}\"stats\":{{")), "{}", lines[1]);
        assert!(lines[1].ends_with(end), "{}", lines[1]);
        let failed = format!(r#"{start}"error":"no \"time\"","stats":"#);
        assert!(lines[2].starts_with(&failed), "{}", lines[2]);
        let line: serde_json::Value = serde_json::from_str(lines[1]).expect("JSON");
        assert_eq!(line["stats"]["samples"]["totalQueryableSamples"], 4);
    }

    #[test]
    fn a_full_disk_is_told() {
        let log = QueryLog::open(Path::new("/dev/full")).expect("open");
        assert!(!appended(&log, None));
    }
}
