//! Import: bodies of lines, of any length, from their first byte to the answer.
//!
//! Path: connection → `inflate` → **import** cuts lines → `json`, `csv`, `text` → `receive`.
//! Never: holds more than a piece of a body; acknowledges what is not durable; lets one bad line
//! keep the others out.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt as _;
use hyper::StatusCode;
use hyper::body::Bytes;
use remote::builder::Builder;
use remote::outcome::{Cause, Pushed};
use tokio::time::Instant;

use crate::call::Context;
use crate::import::csv::CsvReader;
use crate::import::inflate::Inflater;
use crate::import::json::JsonReader;
use crate::import::text::TextReader;
use crate::parameters::Parameters;
use crate::receive::{Refused, plain, refuse, room_for, store};

pub mod inflate;
pub mod json;
pub mod csv;
pub mod text;

/// Bytes of lines that are stored at once: some tens of thousands of samples, a few commits.
const PIECE_BYTES: usize = 1 << 20;
/// Most bytes of one line: a million samples of a series.
pub const LINE_BYTES_MAX: usize = 16 << 20;
/// What is made of a piece takes so many times its bytes, at most about.
const GROWTH: usize = 8;
/// Time for the next bytes of a body.
const BYTES_TIMEOUT: Duration = Duration::from_secs(60);
/// How often a piece is stored again that found no room, and after what pause.
const ATTEMPTS_MAX: usize = 300;
const PAUSE: Duration = Duration::from_millis(100);

const OFF: &str = "import needs to be enabled with --web.enable-remote-write-receiver";

/// The form of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `/api/v1/import`
    Json,
    /// `/api/v1/import/csv`
    Csv,
    /// `/api/v1/import/prometheus`
    Text,
}

/// Reads the lines of one body in order.
#[derive(Clone, Debug)]
pub enum Reader {
    /// See [`Form::Json`].
    Json(JsonReader),
    /// See [`Form::Csv`].
    Csv(CsvReader),
    /// See [`Form::Text`].
    Text(TextReader),
}

impl Reader {
    /// Adds what a line without its end has.
    ///
    /// # Errors
    /// It cannot be read; why.
    pub fn take(&mut self, line: &[u8], builder: &mut Builder) -> Result<(), String> {
        match self {
            Reader::Json(reader) => reader.take(line, builder),
            Reader::Csv(reader) => reader.take(line, builder),
            Reader::Text(reader) => reader.take(line, builder),
        }
    }
}

/// Answers one of the paths of import.
pub async fn import(form: Form, context: Arc<Context>, request: Request) -> Response {
    if !context.backend.receivers().write {
        return plain(StatusCode::NOT_FOUND, OFF);
    }
    context.receiver.requests.fetch_add(1, Ordering::Relaxed);
    match import_all(form, &context, request).await {
        Ok(pushed) if pushed.refusals.total() == 0 => plain(StatusCode::NO_CONTENT, ""),
        Ok(pushed) => {
            let text = format!(
                "{} samples are stored; what else there was is not:\n{}",
                pushed.samples,
                pushed.refusals.text()
            );
            plain(StatusCode::BAD_REQUEST, &text)
        }
        Err(refused) => {
            if matches!(refused, Refused::Overloaded(_)) {
                context.receiver.overloaded.fetch_add(1, Ordering::Relaxed);
            }
            refuse(&refused)
        }
    }
}

async fn import_all(
    form: Form,
    context: &Arc<Context>,
    request: Request,
) -> Result<Pushed, Refused> {
    let busy = |_| Refused::Overloaded("too many imports are under way".to_owned());
    let _one_of_few = context.receiver.imports.try_acquire().map_err(busy)?;
    let parameters = Parameters::new(request.uri().query().unwrap_or(""), b"");
    let now_ms = context.backend.now().wall.0;
    let headers = request.headers();
    let reader = match form {
        Form::Json => Reader::Json(JsonReader::new(extra_labels(&parameters)?)),
        Form::Csv => {
            let format = parameters.first("format");
            let extra = extra_labels(&parameters)?;
            Reader::Csv(CsvReader::new(format, extra, now_ms).map_err(Refused::Bad)?)
        }
        Form::Text => {
            let given = parameters.first("timestamp");
            let at_ms = if given.is_empty() { Ok(now_ms) } else { given.parse() };
            let at_ms = at_ms.map_err(|_| {
                Refused::Bad(format!("timestamp {given:?} is no count of milliseconds"))
            })?;
            let is_openmetrics = crate::receive::text_of(headers, &hyper::header::CONTENT_TYPE)
                .starts_with("application/openmetrics-text");
            Reader::Text(TextReader::new(is_openmetrics, extra_labels(&parameters)?, at_ms))
        }
    };
    let inflater = Inflater::new(headers).map_err(Refused::Unsupported)?;
    let mut import = Import {
        context,
        reader,
        inflater,
        line: 0,
        piece: Vec::new(),
        whole: 0,
        pushed: Pushed::default(),
    };
    import.take_body(request.into_body()).await?;
    Ok(import.pushed)
}

/// `extra_label=name=value`, as often as wanted.
fn extra_labels(parameters: &Parameters) -> Result<Vec<(String, String)>, Refused> {
    let split = |text: &str| {
        let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
        let pair = pair.map(|(name, value)| (name.to_owned(), value.to_owned()));
        pair.ok_or_else(|| Refused::Bad(format!("extra_label {text:?} is not of form name=value")))
    };
    parameters.all("extra_label").map(split).collect()
}

/// One body under way.
struct Import<'a> {
    context: &'a Arc<Context>,
    reader: Reader,
    inflater: Inflater,
    /// Lines that were read.
    line: u64,
    /// Inflated bytes that are not stored yet.
    piece: Vec<u8>,
    /// How many of them are whole lines.
    whole: usize,
    pushed: Pushed,
}

impl Import<'_> {
    async fn take_body(&mut self, mut body: Body) -> Result<(), Refused> {
        loop {
            let frame = tokio::time::timeout(BYTES_TIMEOUT, body.frame()).await;
            let frame = frame.map_err(|_| self.bad("the body did not come in time"))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| self.bad(&format!("read the body: {error}")))?;
            let Ok(bytes) = frame.into_data() else { continue };
            self.take_bytes(&bytes).await?;
        }
        let inflater = std::mem::replace(&mut self.inflater, Inflater::Plain);
        let rest = inflater.finish().map_err(|error| self.bad(&error))?;
        self.piece.extend_from_slice(&rest);
        self.whole = self.piece.len();
        self.store_lines().await
    }

    /// Inflates bytes in steps, so that no few of them become more than a piece or so.
    async fn take_bytes(&mut self, bytes: &Bytes) -> Result<(), Refused> {
        let received = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.context.receiver.body_bytes.fetch_add(received, Ordering::Relaxed);
        for start in (0..bytes.len()).step_by(inflate::STEP_BYTES) {
            let end = bytes.len().min(start + inflate::STEP_BYTES);
            let before = self.piece.len();
            self.inflate(bytes.slice(start..end)).await?;
            let is_end = |byte: &u8| *byte == b'\n';
            if let Some(at) = self.piece[before..].iter().rposition(is_end) {
                self.whole = before + at + 1;
            }
            if PIECE_BYTES <= self.piece.len() && 0 < self.whole {
                self.store_lines().await?;
            }
            if LINE_BYTES_MAX < self.piece.len() {
                return Err(self.bad(&format!("a line of more than {LINE_BYTES_MAX} bytes")));
            }
        }
        Ok(())
    }

    /// Appends what a few bytes inflate to; off the service thread where that is work.
    async fn inflate(&mut self, bytes: Bytes) -> Result<(), Refused> {
        if matches!(self.inflater, Inflater::Plain) {
            self.piece.extend_from_slice(&bytes);
            return Ok(());
        }
        let mut inflater = std::mem::replace(&mut self.inflater, Inflater::Plain);
        let mut piece = std::mem::take(&mut self.piece);
        let work = tokio::task::spawn_blocking(move || {
            let taken = inflater.take(&bytes, &mut piece);
            (inflater, piece, taken)
        });
        let done = work.await.map_err(|_| self.bad("the body broke its reader"))?;
        let taken;
        (self.inflater, self.piece, taken) = done;
        taken.map_err(|error| self.bad(&error))
    }

    /// Stores the lines of the piece that are whole.
    async fn store_lines(&mut self) -> Result<(), Refused> {
        let rest = self.piece.split_off(std::mem::take(&mut self.whole));
        let lines = Arc::new(std::mem::replace(&mut self.piece, rest));
        let inflated = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        self.context.receiver.inflated_bytes.fetch_add(inflated, Ordering::Relaxed);
        let _room = room_for(&self.context.receiver.batches, lines.len() * GROWTH).await?;
        for _ in 0..ATTEMPTS_MAX {
            let (pushed, reader, line) = self.store_once(Arc::clone(&lines)).await?;
            if !pushed.overloaded {
                let samples = pushed.samples;
                self.context.receiver.samples.fetch_add(samples, Ordering::Relaxed);
                (self.reader, self.line) = (reader, line);
                self.pushed.merge(pushed);
                return Ok(());
            }
            // What is stored of it already is the same again: no fault.
            tokio::time::sleep_until(Instant::now() + PAUSE).await;
        }
        Err(Refused::Overloaded(format!("not all could be stored from line {} on", self.line + 1)))
    }

    async fn store_once(&self, lines: Arc<Vec<u8>>) -> Result<(Pushed, Reader, u64), Refused> {
        let (mut reader, mut line) = (self.reader.clone(), self.line);
        let shards = self.context.backend.shards();
        let work = tokio::task::spawn_blocking(move || {
            let mut builder = Builder::new(shards, "");
            read_lines(&lines, &mut line, &mut reader, &mut builder);
            (builder.finish(), reader, line)
        });
        let broke = |_| self.bad("the body broke its reader");
        let ((batches, refusals), reader, line) = work.await.map_err(broke)?;
        let pushed = store(self.context, batches, refusals).await?;
        Ok((pushed, reader, line))
    }

    /// Refuses the rest of the body; what was stored stays.
    fn bad(&self, text: &str) -> Refused {
        let stored = match self.pushed.samples {
            0 => String::new(),
            samples => format!("; {samples} samples before it are stored"),
        };
        Refused::Bad(format!("behind line {}: {text}{stored}", self.line))
    }
}

/// Reads lines into `builder`; those that cannot be read are counted and the first ones named.
pub fn read_lines(lines: &[u8], number: &mut u64, reader: &mut Reader, builder: &mut Builder) {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    for line in lines.split(|byte| *byte == b'\n') {
        *number += 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if let Err(reason) = reader.take(line, builder) {
            let refusals = &mut builder.refusals;
            refusals.add(Cause::Unreadable, format_args!(": line {number}: {reason}"));
        }
    }
}
