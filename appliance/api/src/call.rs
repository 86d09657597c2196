//! Call: one request on its way to an endpoint.

use std::sync::Arc;

use bytes::Bytes;
use model::label_name::quote;
use model::matcher::Matcher;
use model::time::{Now, Tick, TimestampMs};
use query::evaluate::{Control, Part, Stop};
use query::meter::Meter;
use query::source::Source;

use crate::active::ActiveQuery;
use crate::answer::Answer;
use crate::backend::{Alive, Backend};
use crate::failure::{Failure, Kind};
use crate::parameters::Parameters;
use crate::push_gateway::PushGateway;
use crate::query_stats::{PartClock, Timings};
use crate::receiver::Receiver;
use crate::requests::Requests;
use crate::selector::parse_selector;
use crate::stream::Cancel;
use crate::streams::Streams;
use crate::subscribers::Subscribers;
use crate::timestamp::{TIME_MAX, TIME_MIN};

/// What every endpoint may use.
pub struct Context {
    /// The server.
    pub backend: Arc<dyn Backend>,
    /// Counters of requests.
    pub requests: Requests,
    /// Bodies with samples.
    pub receiver: Receiver,
    /// Who hears of notifications.
    pub subscribers: Subscribers,
    /// Groups of batch jobs.
    pub pushed: PushGateway,
    /// Answers that last as long as their readers.
    pub streams: Streams,
}

/// One request.
#[derive(Debug)]
pub struct Call {
    /// Form of URL and body.
    pub parameters: Parameters,
    /// The part of the path between the route's fixed parts, decoded; "" for a fixed route.
    pub path_part: String,
    /// Value of Accept; "" when there is none.
    pub accept: String,
    /// The body, where the route reads it.
    pub body: Bytes,
    /// When the request was read.
    pub received: Now,
    /// Whether anybody still waits.
    pub cancel: Cancel,
    /// The request as the list of active queries shows it.
    pub active: Arc<ActiveQuery>,
}

/// An endpoint. It runs on a thread that may wait.
pub type Endpoint = fn(&Context, &Call) -> Result<Answer, Failure>;

/// Stops a query whose deadline passed, whose asker left, or that was killed; and times it.
pub struct Watch<'a> {
    backend: &'a dyn Backend,
    call: &'a Call,
    deadline: Tick,
    began: Tick,
    clock: PartClock,
}

impl<'a> Watch<'a> {
    /// Watch over a query of `call`, whose turn is now, that may take until `timeout_ms` after it
    /// was received.
    #[must_use]
    pub fn new(context: &'a Context, call: &'a Call, timeout_ms: u64) -> Watch<'a> {
        let deadline = call.received.tick.after_ms(timeout_ms);
        let began = context.backend.now().tick;
        let clock = PartClock::new(began);
        Watch { backend: &*context.backend, call, deadline, began, clock }
    }

    /// Whether the deadline passed before the query's turn.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.deadline <= self.began
    }

    /// What the query took so far.
    #[must_use]
    pub fn timings(&self) -> Timings {
        let queue_nanos = self.began.since(self.call.received.tick);
        self.clock.timings(queue_nanos, self.backend.now().tick)
    }
}

impl Control for Watch<'_> {
    fn stop(&self) -> Option<Stop> {
        if self.call.cancel.is_cancelled() || self.call.active.is_killed() {
            return Some(Stop::Canceled);
        }
        (self.deadline <= self.backend.now().tick).then_some(Stop::Timeout)
    }

    fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.call.active.meter)
    }

    fn enter(&self, part: Part) {
        self.clock.enter(part, self.backend.now().tick);
    }
}

impl Call {
    /// Refuses to go on where the request was killed.
    ///
    /// # Errors
    /// It was.
    pub fn check_alive(&self) -> Result<(), Failure> {
        if self.active.is_killed() {
            return Err(Failure::new(
                Kind::Canceled,
                "query was canceled in expression evaluation",
            ));
        }
        Ok(())
    }

    /// Whether somebody waits for the request, asked for up to `timeout_ms` after it was received.
    #[must_use]
    pub fn alive(&self, context: &Context, timeout_ms: u64) -> Alive {
        let deadline = self.received.tick.after_ms(timeout_ms);
        let (cancel, active) = (self.cancel.clone(), Arc::clone(&self.active));
        let backend = Arc::clone(&context.backend);
        Arc::new(move || {
            !cancel.is_cancelled() && !active.is_killed() && backend.now().tick < deadline
        })
    }

    /// The store for a question that may take as long as a query.
    #[must_use]
    pub fn source(&self, context: &Context) -> Arc<dyn Source> {
        let timeout_ms = context.backend.settings().query_timeout_ms;
        context.backend.source(self.alive(context, timeout_ms))
    }

    /// The store for an answer that is sent as it is read, however long its reader takes: the time
    /// of a query does not bound it, since what is cut in the middle must be asked for again.
    #[must_use]
    pub fn streamed_source(&self, context: &Context) -> Arc<dyn Source> {
        let (cancel, active) = (self.cancel.clone(), Arc::clone(&self.active));
        context.backend.source(Arc::new(move || !cancel.is_cancelled() && !active.is_killed()))
    }

    /// The range that `start` and `end` give; everything where they are absent.
    ///
    /// # Errors
    /// One of them is no time.
    pub fn range(&self) -> Result<(TimestampMs, TimestampMs), Failure> {
        Ok((self.parameters.time("start", TIME_MIN)?, self.parameters.time("end", TIME_MAX)?))
    }

    /// The matcher sets of every `match[]`.
    ///
    /// # Errors
    /// One is no selector, or fits every series.
    pub fn matcher_sets(&self) -> Result<Vec<Vec<Matcher>>, String> {
        let mut sets = Vec::new();
        for text in self.parameters.all("match[]") {
            let matchers = parse_selector(text)?;
            if matchers.iter().all(|matcher| matcher.matches("")) {
                return Err("match[] must contain at least one non-empty matcher".to_owned());
            }
            sets.push(matchers);
        }
        Ok(sets)
    }

    /// The label name of the path.
    ///
    /// # Errors
    /// It is none.
    pub fn label_name(&self) -> Result<String, Failure> {
        let name = crate::label_escape::unescape(&self.path_part);
        if name.is_empty() || name.contains('\u{fffd}') {
            return Err(Failure::bad_data(format!("invalid label name: {}", quote(&name))));
        }
        Ok(name)
    }
}
