//! Router: HTTP requests to endpoints and answers back; testable without a socket.
//!
//! Path: connection → **router** reads the form → endpoint in its place → `stream` → connection.
//! Never: waits for a shard or a query on the service thread.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use model::time::Tick;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::active::{ActiveQuery, Activity, Admitted, Described};
use crate::answer::{Answer, TEXT_PLAIN, write_failure, write_success};
use crate::backend::{Backend, Phase, Turn};
use crate::bodies::{self, BODY_ROUTES, BodyRoute};
use crate::call::{Call, Context};
use crate::coding::Coding;
use crate::failure::{Failure, Kind};
use crate::json::{Sink as _, Writer};
use crate::live::live;
use crate::parameters::{Parameters, decode_segment};
use crate::push_gateway::PushGateway;
use crate::receive::{self, text_of};
use crate::receiver::Receiver;
use crate::requests::Requests;
use crate::routes::{Methods, Place, ROUTES, Route};
use crate::stream::{Cancel, Delivery, Head};
use crate::streams::Streams;
use crate::subscribers::Subscribers;

/// Most bytes of a request's body. Queries of dashboards stay below a tenth of it; with every
/// connection at the bound, bodies hold half a gigabyte.
pub const FORM_BYTES_MAX: usize = 1024 * 1024;

/// Time for a request's body, which clients send at once.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);

const API_PREFIX: &str = "/api/v1/";
const LIVE_PATH: &str = "/api/v1/notifications/live";

/// Address of a connection's other end, which the server puts into the extensions of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The HTTP API over `backend`.
pub fn router(backend: Arc<dyn Backend>) -> Router {
    let handlers = ROUTES.iter().map(|route| route.handler);
    let bodies = BODY_ROUTES.iter().map(|route| route.path);
    let requests = Requests::new(handlers.chain(bodies).chain([LIVE_PATH]).collect());
    let (receiver, subscribers) = (Receiver::default(), Subscribers::default());
    let streams = Streams::new(backend.settings().streams_max);
    let pushed = PushGateway::default();
    let context = Arc::new(Context { backend, requests, receiver, subscribers, pushed, streams });
    let mut router = Router::new();
    for (index, route) in ROUTES.iter().enumerate() {
        let context = Arc::clone(&context);
        let serve = move |request: Request| async move {
            let asked = Asked::new(index, route.path, &context, &request);
            asked.answer(respond(&context, route, request)).await
        };
        router = router.route(route.path, any(serve));
    }
    for (index, route) in BODY_ROUTES.iter().enumerate() {
        let context = Arc::clone(&context);
        let take = move |request: Request| async move {
            let asked = Asked::new(ROUTES.len() + index, route.path, &context, &request);
            asked.answer(take(&context, route, request)).await
        };
        router = router.route(route.path, any(take));
    }
    let shared = Arc::clone(&context);
    let hear = move |request: Request| async move {
        let index = ROUTES.len() + BODY_ROUTES.len();
        let asked = Asked::new(index, LIVE_PATH, &shared, &request);
        asked.answer(hear(&shared, request.method())).await
    };
    let router = router.route(LIVE_PATH, any(hear));
    router.fallback(move |request: Request| unknown(context, request))
}

/// What is remembered of a request until it is answered.
struct Asked<'a> {
    context: &'a Context,
    index: usize,
    origin: Option<HeaderValue>,
    in_api: bool,
    began: Tick,
}

impl<'a> Asked<'a> {
    fn new(index: usize, path: &str, context: &'a Context, request: &Request) -> Asked<'a> {
        let origin = request.headers().get(header::ORIGIN).cloned();
        let in_api = path.starts_with(API_PREFIX);
        Asked { context, index, origin, in_api, began: context.backend.now().tick }
    }

    /// Counts the answer, and says who else may read it.
    async fn answer(self, answer: impl Future<Output = Response>) -> Response {
        let mut response = answer.await;
        if self.in_api {
            allow_origin(self.context, self.origin.as_ref(), response.headers_mut());
        }
        let nanos = self.context.backend.now().tick.since(self.began);
        self.context.requests.observe(self.index, response.status().as_u16(), nanos);
        response
    }
}

async fn unknown(context: Arc<Context>, request: Request) -> Response {
    let in_api = request.uri().path().starts_with(API_PREFIX);
    if in_api && request.method() == Method::OPTIONS {
        let origin = request.headers().get(header::ORIGIN);
        let mut response = options(&context);
        allow_origin(&context, origin, response.headers_mut());
        return response;
    }
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

/// Answers a request whose body is more than a form.
async fn take(context: &Arc<Context>, route: &'static BodyRoute, request: Request) -> Response {
    if request.method() == Method::OPTIONS {
        options(context)
    } else if !route.methods.contain(request.method().as_str()) {
        refuse_method(route.methods)
    } else if context.backend.phase() != Phase::Ready {
        not_ready(context)
    } else {
        bodies::answer(route.body, Arc::clone(context), request).await
    }
}

/// Answers who wants to hear of notifications.
async fn hear(context: &Arc<Context>, method: &Method) -> Response {
    match *method {
        Method::OPTIONS => options(context),
        Method::GET => live(context),
        _ => refuse_method(Methods::Get),
    }
}

async fn respond(context: &Arc<Context>, route: &'static Route, request: Request) -> Response {
    let in_api = route.path.starts_with(API_PREFIX);
    if in_api && request.method() == Method::OPTIONS {
        return options(context);
    }
    if !route.methods.contain(request.method().as_str()) {
        return refuse_method(route.methods);
    }
    if route.gated && context.backend.phase() != Phase::Ready {
        return not_ready(context);
    }
    let accepted = Coding::accepted(request.headers());
    let path_part = match route.part_of(request.uri().path()).and_then(decode_segment) {
        Some(part) => part,
        None => return plain(StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    let mut turn = None;
    if route.place == Place::Stream {
        turn = context.streams.turn().await;
        if turn.is_none() {
            let text = "too many exports, federations and remote reads at once";
            return receive::plain(StatusCode::SERVICE_UNAVAILABLE, text);
        }
    }
    let received = context.backend.now();
    let cancel = Cancel::default();
    let guard = cancel.guard();
    let method = method_text(request.method());
    let client = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let accept = text_of(request.headers(), &header::ACCEPT).to_owned();
    let form = read_form(route, request).await;
    let (sender, receiver) = oneshot::channel();
    let delivery = Delivery::new(sender, accepted, route.place == Place::Service);
    match form {
        Err(failure) => deliver(delivery, Err(failure), &cancel),
        Ok((parameters, body)) => {
            let (active, listed) = {
                let text = query_text(&parameters);
                let handler = route.path;
                let described = Described { text: &text, handler, method, client, received };
                enlist(context, route, &described)
            };
            let call = Call { parameters, path_part, accept, body, received, cancel, active };
            dispatch(context, route, call, (listed, turn), delivery);
        }
    }
    match receiver.await {
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the answer was lost\n"),
        Ok(mut head) => {
            head.body.hold(guard);
            response(head)
        }
    }
}

/// Puts what query threads compute on the list of active queries.
fn enlist(
    context: &Context,
    route: &Route,
    described: &Described<'_>,
) -> (Arc<ActiveQuery>, Option<Admitted>) {
    if !matches!(route.place, Place::Query | Place::Stream) {
        return (ActiveQuery::unlisted(described), None);
    }
    let admitted = context.backend.active().admit(described);
    (Arc::clone(&admitted.query), Some(admitted))
}

/// Runs the endpoint in its place; what is held is let go when the answer is written.
fn dispatch(
    context: &Arc<Context>,
    route: &'static Route,
    call: Call,
    held: (Option<Admitted>, Option<OwnedSemaphorePermit>),
    delivery: Delivery,
) {
    let shared = Arc::clone(context);
    let work = move |turn: Turn| {
        call.active.set_activity(Activity::Running);
        let result = match turn {
            Turn::Run => (route.endpoint)(&shared, &call),
            Turn::Refused => Err(too_many()),
        };
        call.active.set_activity(Activity::Answering);
        deliver(delivery, result, &call.cancel);
        drop(held);
    };
    match route.place {
        Place::Service => work(Turn::Run),
        Place::Ask => drop(tokio::task::spawn_blocking(move || work(Turn::Run))),
        Place::Query | Place::Stream => {
            if let Err(refused) = context.backend.run(Box::new(work)) {
                refused(Turn::Refused);
            }
        }
    }
}

/// What a query asks: its expression, or its selectors.
fn query_text(parameters: &Parameters) -> Cow<'_, str> {
    match parameters.first("query") {
        "" => parameters.all("match[]").collect::<Vec<_>>().join(" ").into(),
        text => text.into(),
    }
}

/// The methods that any route answers.
fn method_text(method: &Method) -> &'static str {
    match method.as_str() {
        "POST" => "POST",
        "PUT" => "PUT",
        "HEAD" => "HEAD",
        "DELETE" => "DELETE",
        _ => "GET",
    }
}

fn too_many() -> Failure {
    Failure::new(Kind::Timeout, "query timed out in query queue: too many queries wait")
}

/// Writes a result, unless nobody waits for it.
fn deliver(mut delivery: Delivery, result: Result<Answer, Failure>, cancel: &Cancel) {
    if cancel.is_cancelled() {
        return;
    }
    let written = match result {
        Ok(Answer::Streamed(streamed)) => {
            delivery.describe(200, streamed.content_type);
            if let Some(coding) = streamed.coding {
                delivery.is_coded(coding);
            }
            (streamed.write)(&mut delivery)
        }
        Ok(Answer::Text(text)) => {
            delivery.describe(text.status, text.content_type);
            delivery.take(text.body.as_bytes())
        }
        Ok(Answer::Success(success)) => {
            let mut writer = Writer::new(&mut delivery);
            write_success(&mut writer, &success).and_then(|()| writer.finish())
        }
        Err(failure) => {
            delivery.describe(failure.kind.status(), "application/json");
            let mut writer = Writer::new(&mut delivery);
            write_failure(&mut writer, &failure);
            writer.finish()
        }
    };
    // A reader that left needs no end.
    if written.is_ok() {
        delivery.finish();
    }
}

/// The form of a request: its URL's, and its body's where the type says that it is one; and the
/// body itself where the route wants it.
async fn read_form(route: &Route, request: Request) -> Result<(Parameters, Bytes), Failure> {
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or("");
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let is_form = content_type
        .is_some_and(|value| value.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if parts.method == Method::GET || !(is_form || route.reads_body()) {
        return Ok((Parameters::new(query, b""), Bytes::new()));
    }
    let bytes_max = u64::try_from(FORM_BYTES_MAX).unwrap_or(u64::MAX);
    if bytes_max < body.size_hint().lower() {
        return Err(Failure::bad_data("error parsing form values: length limit exceeded"));
    }
    let collect = Limited::new(body, FORM_BYTES_MAX).collect();
    match tokio::time::timeout(FORM_TIMEOUT, collect).await {
        Ok(Ok(collected)) if route.reads_body() => {
            Ok((Parameters::new(query, b""), collected.to_bytes()))
        }
        Ok(Ok(collected)) => Ok((Parameters::new(query, &collected.to_bytes()), Bytes::new())),
        Ok(Err(error)) => Err(Failure::bad_data(format!("error parsing form values: {error}"))),
        Err(_) => Err(Failure::bad_data("error parsing form values: the body did not come")),
    }
}

fn response(head: Head) -> Response {
    let status = StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Response::new(Body::new(head.body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(head.content_type));
    headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    if let Some(coding) = head.coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(TEXT_PLAIN));
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn refuse_method(methods: Methods) -> Response {
    let text = match methods {
        Methods::PostPut => "Only POST or PUT requests allowed",
        _ => "Method Not Allowed\n",
    };
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, text);
    let allowed = HeaderValue::from_static(methods.text());
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

fn not_ready(context: &Context) -> Response {
    let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable");
    let stopping = context.backend.phase() == Phase::Stopping;
    response.headers_mut().insert(
        HeaderName::from_static("x-prometheus-stopping"),
        HeaderValue::from_static(if stopping { "true" } else { "false" }),
    );
    response
}

/// The answer to OPTIONS: upstream gates it as everything else.
fn options(context: &Context) -> Response {
    match context.backend.phase() {
        Phase::Ready => empty(StatusCode::NO_CONTENT),
        _ => not_ready(context),
    }
}

/// Cross-origin headers, as upstream's `httputil.SetCORS` gives them.
fn allow_origin(context: &Context, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = origin else { return };
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Accept, Authorization, Content-Type, Origin"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, OPTIONS"),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Date"));
    let settings = context.backend.settings();
    if settings.cors_any {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else if origin.to_str().is_ok_and(|text| settings.cors_origin.is_match(text)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}
