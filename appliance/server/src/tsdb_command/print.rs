//! Print: what subcommands write: tables as promtool's, times, sizes, progress.
//!
//! Results go to standard output, progress to standard error.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use machine::clock::tick;
use model::time::Tick;

/// Longest time between two lines of progress on a terminal, and where there is none.
const BAR_INTERVAL_MS: u64 = 100;
const LINE_INTERVAL_MS: u64 = 5_000;
const BAR_CHARS: usize = 30;
/// Least width of a column, and the space behind it.
const COLUMN_CHARS_MIN: usize = 13;
const COLUMN_GAP_CHARS: usize = 2;
const MS_PER_SECOND: u64 = 1000;

/// How a subcommand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All is well.
    Well,
    /// Something is damaged, and was told.
    Damaged,
}

/// Whether whoever read our output has gone.
#[must_use]
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Standard output, buffered.
#[must_use]
pub fn output() -> BufWriter<Stdout> {
    BufWriter::with_capacity(1 << 16, io::stdout())
}

/// Writes a table whose columns line up, as Go's tabwriter does for promtool.
///
/// # Errors
/// Standard output refuses.
pub fn table(out: &mut impl Write, rows: &[Vec<String>]) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        COLUMN_CHARS_MIN.max(widest + COLUMN_GAP_CHARS)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in rows {
        let mut line = String::new();
        for (at, cell) in row.iter().enumerate() {
            line.push_str(cell);
            if at + 1 < row.len() {
                let gap = widths[at] - cell.chars().count();
                line.extend(std::iter::repeat_n(' ', gap));
            }
        }
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Milliseconds, or the time for people.
#[must_use]
pub fn time_text(ms: i64, human: bool) -> String {
    if !human {
        return ms.to_string();
    }
    let seconds = ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} +0000 UTC")
}

/// Year, month and day of a count of days since 1970-01-01, by the proleptic Gregorian calendar.
/// Source: H. Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`.
fn date_of(days: i64) -> (i64, i64, i64) {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Bytes, or their sum of KiB, MiB and so on, as promtool prints it.
#[must_use]
pub fn bytes_text(bytes: u64, human: bool) -> String {
    if !human {
        return bytes.to_string();
    }
    let units = [("PiB", 50), ("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)];
    let (mut rest, mut text) = (bytes, String::new());
    for (unit, shift) in units {
        let count = rest >> shift;
        rest -= count << shift;
        if 0 < count {
            write!(text, "{count}{unit}").expect("a String takes it");
        }
    }
    if text.is_empty() { "0B".to_owned() } else { text }
}

/// A duration as Go prints it: `2h0m0s`, `1m0.5s`, `15ms`.
#[must_use]
pub fn duration_text(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    if ms == 0 {
        return "0s".to_owned();
    }
    if ms < MS_PER_SECOND {
        return format!("{sign}{ms}ms");
    }
    let (seconds, part) = (ms / MS_PER_SECOND, ms % MS_PER_SECOND);
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let part = format!("{part:03}");
    let part = part.trim_end_matches('0');
    let point = if part.is_empty() { "" } else { "." };
    let mut text = String::from(sign);
    if 0 < hours {
        write!(text, "{hours}h").expect("a String takes it");
    }
    if 0 < hours + minutes {
        write!(text, "{minutes}m").expect("a String takes it");
    }
    write!(text, "{}{point}{part}s", seconds % 60).expect("a String takes it");
    text
}

/// Says how far a work has come: a bar on a terminal, else a line every few seconds.
pub struct Progress {
    what: String,
    is_terminal: bool,
    last: Tick,
    is_shown: bool,
}

impl Progress {
    /// Progress of `what`.
    #[must_use]
    pub fn new(what: impl Into<String>) -> Progress {
        let is_terminal = io::stderr().is_terminal();
        Progress { what: what.into(), is_terminal, last: tick(), is_shown: false }
    }

    /// `done` of `total`, with what else there is to say; told when it is time to.
    pub fn show(&mut self, done: u64, total: u64, more: &str) {
        let interval = if self.is_terminal { BAR_INTERVAL_MS } else { LINE_INTERVAL_MS };
        if tick() < self.last.after_ms(interval) {
            return;
        }
        self.last = tick();
        let percent = done.min(total) * 100 / total.max(1);
        let mut stderr = io::stderr();
        // Progress that cannot be told is no reason to end.
        let _ = if self.is_terminal {
            self.is_shown = true;
            let filled = usize::try_from(percent).unwrap_or(0) * BAR_CHARS / 100;
            let bar = format!("{}{}", "#".repeat(filled), ".".repeat(BAR_CHARS - filled));
            write!(stderr, "\r\x1b[K{} [{bar}] {percent:3} % {more}", self.what)
        } else {
            writeln!(stderr, "{}: {percent} %, {more}", self.what)
        };
    }

    /// Takes the bar away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.is_shown) {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sizes_and_durations_are_gos() {
        let times = [0, 1_700_000_000_999, -1, 951_782_400_000].map(|ms| time_text(ms, true));
        let expected = [
            "1970-01-01 00:00:00 +0000 UTC",
            "2023-11-14 22:13:20 +0000 UTC",
            "1969-12-31 23:59:59 +0000 UTC",
            "2000-02-29 00:00:00 +0000 UTC",
        ];
        assert_eq!(times, expected);
        let sizes = [0, 5, 1234, 3 << 20].map(|bytes| bytes_text(bytes, true));
        assert_eq!(sizes, ["0B", "5B", "1KiB210B", "3MiB"]);
        let durations = [0, 15, 1000, 60_500, 7_200_000, 7_199_999, -1500].map(duration_text);
        let expected = ["0s", "15ms", "1s", "1m0.5s", "2h0m0s", "1h59m59.999s", "-1.5s"];
        assert_eq!(durations, expected);
    }

    #[test]
    fn columns_line_up() {
        let rows =
            [["BLOCK", "MIN TIME"], ["01GZ0000000000", "1"]].map(|row| row.map(str::to_owned));
        let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
        let mut out = Vec::new();
        table(&mut out, &rows).expect("memory takes it");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text, "BLOCK           MIN TIME\n01GZ0000000000  1\n");
    }
}
