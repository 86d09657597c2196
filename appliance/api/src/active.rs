//! Active queries: those that wait, run or answer, for whoever lists and ends them.
//!
//! Owns: the list. A query enters it before the queue and leaves it when its answer is written.
//! Never: holds more of a query's text than is shown.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

use model::time::Now;
use query::meter::Meter;
use tokio::sync::watch;

/// Most bytes of a query's text that are kept.
const TEXT_BYTES_MAX: usize = 4096;

/// What a query does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It waits for a thread.
    Waiting,
    /// It is computed.
    Running,
    /// Its answer is written, as fast as the client takes it.
    Answering,
}

/// A query that waits, runs or answers.
#[derive(Debug)]
pub struct ActiveQuery {
    /// Its number: they rise, and none is used twice in the life of the process.
    pub id: u64,
    /// Its text, or the beginning of it.
    pub text: String,
    /// Path of the endpoint.
    pub handler: &'static str,
    /// Method of the request.
    pub method: &'static str,
    /// Who asked, where that is known.
    pub client: Option<IpAddr>,
    /// When it was received.
    pub received: Now,
    /// What it holds.
    pub meter: Arc<Meter>,
    activity: AtomicU8,
    killed: AtomicBool,
}

impl ActiveQuery {
    /// A request that is on no list: one that is not computed by a query thread.
    #[must_use]
    pub fn unlisted(request: &Described<'_>) -> Arc<ActiveQuery> {
        ActiveQuery::new(0, request)
    }

    fn new(id: u64, request: &Described<'_>) -> Arc<ActiveQuery> {
        Arc::new(ActiveQuery {
            id,
            text: beginning(request.text).to_owned(),
            handler: request.handler,
            method: request.method,
            client: request.client,
            received: request.received,
            meter: Arc::default(),
            activity: AtomicU8::new(0),
            killed: AtomicBool::new(false),
        })
    }

    /// Whether somebody ended it.
    #[must_use]
    pub fn is_killed(&self) -> bool {
        self.killed.load(Ordering::Relaxed)
    }

    /// Says what it does.
    pub fn set_activity(&self, activity: Activity) {
        let number = match activity {
            Activity::Waiting => 0,
            Activity::Running => 1,
            Activity::Answering => 2,
        };
        self.activity.store(number, Ordering::Relaxed);
    }

    /// What it does.
    #[must_use]
    pub fn activity(&self) -> Activity {
        match self.activity.load(Ordering::Relaxed) {
            0 => Activity::Waiting,
            1 => Activity::Running,
            _ => Activity::Answering,
        }
    }

    /// `waiting`, `running`, `answering`; `killed` from when it was ended until it noticed.
    #[must_use]
    pub fn state_text(&self) -> &'static str {
        match self.activity() {
            _ if self.is_killed() => "killed",
            Activity::Waiting => "waiting",
            Activity::Running => "running",
            Activity::Answering => "answering",
        }
    }
}

/// A request as it is to be listed.
#[derive(Clone, Copy, Debug)]
pub struct Described<'a> {
    /// Its text.
    pub text: &'a str,
    /// Path of the endpoint.
    pub handler: &'static str,
    /// Method of the request.
    pub method: &'static str,
    /// Who asked.
    pub client: Option<IpAddr>,
    /// When.
    pub received: Now,
}

/// The list. Query threads and the queue before them bound it: who finds no room there is refused
/// and leaves it at once.
#[derive(Debug, Default)]
pub struct ActiveQueries {
    by_id: watch::Sender<BTreeMap<u64, Arc<ActiveQuery>>>,
    last_id: AtomicU64,
    killed: AtomicU64,
}

impl ActiveQueries {
    /// Lists a query, until what this gives is dropped.
    #[must_use]
    pub fn admit(self: &Arc<Self>, request: &Described<'_>) -> Admitted {
        let id = self.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        let query = ActiveQuery::new(id, request);
        let listed = Arc::clone(&query);
        self.by_id.send_modify(|by_id| {
            by_id.insert(id, listed);
        });
        Admitted { query, list: Arc::clone(self) }
    }

    /// Every query, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<ActiveQuery>> {
        self.by_id.borrow().values().cloned().collect()
    }

    /// How many are listed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.borrow().len()
    }

    /// Whether none is listed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells a query to end; gives it, if there is one with this number.
    #[must_use]
    pub fn kill(&self, id: u64) -> Option<Arc<ActiveQuery>> {
        let query = self.by_id.borrow().get(&id).cloned()?;
        if !query.killed.swap(true, Ordering::Relaxed) {
            self.killed.fetch_add(1, Ordering::Relaxed);
        }
        Some(query)
    }

    /// Queries that were told to end, ever.
    #[must_use]
    pub fn killed(&self) -> u64 {
        self.killed.load(Ordering::Relaxed)
    }
}

/// A listed query; dropping it takes it off the list.
#[derive(Debug)]
pub struct Admitted {
    /// The query.
    pub query: Arc<ActiveQuery>,
    list: Arc<ActiveQueries>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.list.by_id.send_modify(|by_id| {
            by_id.remove(&self.query.id);
        });
    }
}

/// The first bytes of `text` that may be kept, whole characters.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use model::time::{Tick, TimestampMs};

    use super::*;

    fn request(text: &str) -> Described<'_> {
        let received = Now { tick: Tick(5), wall: TimestampMs(7) };
        Described { text, handler: "/api/v1/query", method: "GET", client: None, received }
    }

    #[test]
    fn queries_are_listed_while_they_are_held() {
        let list = Arc::<ActiveQueries>::default();
        let first = list.admit(&request("up"));
        let second = list.admit(&request("down"));
        let shown = |list: &ActiveQueries| -> Vec<(u64, String)> {
            list.list().iter().map(|query| (query.id, query.text.clone())).collect()
        };
        assert_eq!(shown(&list), [(1, "up".to_owned()), (2, "down".to_owned())]);
        drop(first);
        assert_eq!(shown(&list), [(2, "down".to_owned())]);
        drop(second);
        assert!(list.is_empty());
        assert_eq!(list.admit(&request("up")).query.id, 3);
    }

    #[test]
    fn a_killed_query_knows_it_and_is_counted_once() {
        let list = Arc::<ActiveQueries>::default();
        let admitted = list.admit(&request("up"));
        admitted.query.set_activity(Activity::Running);
        assert_eq!(admitted.query.state_text(), "running");
        assert!(list.kill(1).is_some() && list.kill(1).is_some());
        assert!(list.kill(2).is_none());
        assert!(admitted.query.is_killed());
        assert_eq!((admitted.query.state_text(), list.killed()), ("killed", 1));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let list = Arc::<ActiveQueries>::default();
        let text = "é".repeat(TEXT_BYTES_MAX);
        assert_eq!(list.admit(&request(&text)).query.text.len(), TEXT_BYTES_MAX);
        let odd = format!("x{text}");
        assert_eq!(list.admit(&request(&odd)).query.text.len(), TEXT_BYTES_MAX - 1);
    }
}
