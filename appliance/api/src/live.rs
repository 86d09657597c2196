//! Live: `/api/v1/notifications/live`, notifications as server-sent events.
//!
//! Path: `router` → **live** → a task that waits for changes → the connection.
//! Never: more than `subscribers_max` of them; upstream's answer to one more is 204.
//! Source: `notificationsSSE` of Prometheus's `web/api/v1/api.go`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderValue};
use tokio::sync::{mpsc, watch};

use crate::backend::{Notification, Phase};
use crate::call::Context;
use crate::stream::{AnswerBody, Cut};

/// Events that wait for their connection; then the task waits, and later events become one.
const EVENTS_MAX: usize = 4;
/// How often something is sent when nothing happens, so that neither end takes the other for gone.
const BEAT_INTERVAL: Duration = Duration::from_secs(30);
/// A comment, which readers of events pass over.
const BEAT: &[u8] = b":\n\n";

/// Answers `/api/v1/notifications/live`: what is known, then every change, until either end goes.
pub fn live(context: &Arc<Context>) -> Response {
    let settings = context.backend.settings();
    let Some(place) = context.subscribers.take(settings.subscribers_max) else {
        return response(StatusCode::NO_CONTENT, Body::empty());
    };
    let (events, receiver) = mpsc::channel(EVENTS_MAX);
    let teller = Teller {
        context: Arc::clone(context),
        notifications: context.backend.notifications(),
        shown: Arc::default(),
        events,
    };
    tokio::spawn(async move {
        teller.tell().await;
        drop(place);
    });
    response(StatusCode::OK, Body::new(AnswerBody::of_chunks(receiver)))
}

/// What one subscriber is told.
struct Teller {
    context: Arc<Context>,
    notifications: watch::Receiver<Arc<Vec<Notification>>>,
    shown: Arc<Vec<Notification>>,
    events: mpsc::Sender<Result<Bytes, Cut>>,
}

impl Teller {
    async fn tell(mut self) {
        loop {
            let known = Arc::clone(&self.notifications.borrow_and_update());
            for event in changes(&self.shown, &known) {
                let text = serde_json::to_string(&event).unwrap_or_default();
                let event = Bytes::from(format!("data: {text}\n\n"));
                if self.events.send(Ok(event)).await.is_err() {
                    return;
                }
                self.context.subscribers.told();
            }
            self.shown = known;
            if self.context.backend.phase() == Phase::Stopping {
                return;
            }
            tokio::select! {
                changed = tokio::time::timeout(BEAT_INTERVAL, self.notifications.changed()) => {
                    match changed {
                        Ok(Ok(())) => {}
                        Ok(Err(_)) => return,
                        Err(_) => {
                            if self.events.send(Ok(Bytes::from_static(BEAT))).await.is_err() {
                                return;
                            }
                        }
                    }
                }
                () = self.events.closed() => return,
            }
        }
    }
}

/// What is over, then what is new or of another time.
fn changes(before: &[Notification], now: &[Notification]) -> Vec<Notification> {
    let is_over = |one: &&Notification| !now.iter().any(|other| other.text == one.text);
    let over = before.iter().filter(is_over);
    let over = over.map(|one| Notification { active: false, ..one.clone() });
    let new = now.iter().filter(|one| !before.contains(one)).cloned();
    over.chain(new).collect()
}

fn response(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_told_before_what_is_new() {
        let one = |text: &str, date: &str| Notification {
            text: text.to_owned(),
            date: date.to_owned(),
            active: true,
        };
        let before = [one("a", "1"), one("b", "1"), one("c", "1")];
        let now = [one("b", "2"), one("c", "1"), one("d", "2")];
        let told = changes(&before, &now);
        let over = Notification { active: false, ..one("a", "1") };
        assert_eq!(told, [over, one("b", "2"), one("d", "2")]);
    }
}
