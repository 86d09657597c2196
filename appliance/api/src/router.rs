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
use tokio::sync::oneshot;

use crate::active::{ActiveQuery, Activity, Admitted, Described};
use crate::answer::{Answer, TEXT_PLAIN, write_failure, write_success};
use crate::backend::{Backend, Phase, Turn};
use crate::bodies::{self, BODY_ROUTES, BodyRoute};
use crate::call::{Call, Context};
use crate::failure::{Failure, Kind};
use crate::json::{Sink as _, Writer};
use crate::parameters::{Parameters, decode_segment};
use crate::receive::text_of;
use crate::receiver::Receiver;
use crate::requests::Requests;
use crate::routes::{Methods, Place, ROUTES, Route};
use crate::stream::{Cancel, Delivery, Head};

/// Most bytes of a request's body. Queries of dashboards stay below a tenth of it; with every
/// connection at the bound, bodies hold half a gigabyte.
pub const FORM_BYTES_MAX: usize = 1024 * 1024;

/// Time for a request's body, which clients send at once.
const FORM_TIMEOUT: Duration = Duration::from_secs(30);

const API_PREFIX: &str = "/api/v1/";

/// Address of a connection's other end, which the server puts into the extensions of its requests.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// The HTTP API over `backend`.
pub fn router(backend: Arc<dyn Backend>) -> Router {
    let handlers = ROUTES.iter().map(|route| route.handler);
    let bodies = BODY_ROUTES.iter().map(|route| route.path);
    let requests = Requests::new(handlers.chain(bodies).collect());
    let context = Arc::new(Context { backend, requests, receiver: Receiver::default() });
    let mut router = Router::new();
    for (index, route) in ROUTES.iter().enumerate() {
        let context = Arc::clone(&context);
        router = router
            .route(route.path, any(move |request: Request| serve(context, index, route, request)));
    }
    for (index, route) in BODY_ROUTES.iter().enumerate() {
        let context = Arc::clone(&context);
        let index = ROUTES.len() + index;
        router = router
            .route(route.path, any(move |request: Request| take(context, index, route, request)));
    }
    router.fallback(move |request: Request| unknown(context, request))
}

async fn unknown(context: Arc<Context>, request: Request) -> Response {
    let in_api = request.uri().path().starts_with(API_PREFIX);
    if in_api && request.method() == Method::OPTIONS {
        return preflight(&context, request.headers());
    }
    plain(StatusCode::NOT_FOUND, "404 page not found\n")
}

async fn serve(
    context: Arc<Context>,
    index: usize,
    route: &'static Route,
    request: Request,
) -> Response {
    let began = context.backend.now().tick;
    let origin = request.headers().get(header::ORIGIN).cloned();
    let in_api = route.path.starts_with(API_PREFIX);
    let mut response = respond(&context, route, request).await;
    if in_api && let Some(origin) = origin {
        allow_origin(&context, &origin, response.headers_mut());
    }
    let nanos = context.backend.now().tick.since(began);
    context.requests.observe(index, response.status().as_u16(), nanos);
    response
}

/// Answers a request whose body is more than a form.
async fn take(
    context: Arc<Context>,
    index: usize,
    route: &'static BodyRoute,
    request: Request,
) -> Response {
    let began = context.backend.now().tick;
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        empty(StatusCode::NO_CONTENT)
    } else if !route.methods.contain(request.method().as_str()) {
        refuse_method(route.methods)
    } else if context.backend.phase() != Phase::Ready {
        not_ready(&context)
    } else {
        bodies::answer(route.body, Arc::clone(&context), request).await
    };
    if let Some(origin) = origin {
        allow_origin(&context, &origin, response.headers_mut());
    }
    let nanos = context.backend.now().tick.since(began);
    context.requests.observe(index, response.status().as_u16(), nanos);
    response
}

async fn respond(context: &Arc<Context>, route: &'static Route, request: Request) -> Response {
    let in_api = route.path.starts_with(API_PREFIX);
    if in_api && request.method() == Method::OPTIONS {
        return empty(StatusCode::NO_CONTENT);
    }
    if !route.methods.contain(request.method().as_str()) {
        return refuse_method(route.methods);
    }
    if route.gated && context.backend.phase() != Phase::Ready {
        return not_ready(context);
    }
    let accepts_gzip = accepts_gzip(request.headers());
    let path_part = match route.part_of(request.uri().path()).and_then(decode_segment) {
        Some(part) => part,
        None => return plain(StatusCode::NOT_FOUND, "404 page not found\n"),
    };
    let received = context.backend.now();
    let cancel = Cancel::default();
    let guard = cancel.guard();
    let method = method_text(request.method());
    let client = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let accept = text_of(request.headers(), &header::ACCEPT).to_owned();
    let form = read_form(route, request).await;
    let (sender, receiver) = oneshot::channel();
    let delivery = Delivery::new(sender, accepts_gzip, route.place == Place::Service);
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
            dispatch(context, route, call, listed, delivery);
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
    if route.place != Place::Query {
        return (ActiveQuery::unlisted(described), None);
    }
    let admitted = context.backend.active().admit(described);
    (Arc::clone(&admitted.query), Some(admitted))
}

/// Runs the endpoint in its place.
fn dispatch(
    context: &Arc<Context>,
    route: &'static Route,
    call: Call,
    listed: Option<Admitted>,
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
        drop(listed);
    };
    match route.place {
        Place::Service => work(Turn::Run),
        Place::Ask => drop(tokio::task::spawn_blocking(move || work(Turn::Run))),
        Place::Query => {
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

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::ACCEPT_ENCODING).iter();
    codings.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).any(
        |coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            named && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0"))
        },
    )
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

fn preflight(context: &Context, headers: &HeaderMap) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    if let Some(origin) = headers.get(header::ORIGIN) {
        allow_origin(context, origin, response.headers_mut());
    }
    response
}

/// Cross-origin headers, as upstream's `httputil.SetCORS` gives them.
fn allow_origin(context: &Context, origin: &HeaderValue, headers: &mut HeaderMap) {
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Accept, Authorization, Content-Type, Origin"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, OPTIONS"),
    );
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Date"));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let settings = context.backend.settings();
    if settings.cors_any {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    } else if origin.to_str().is_ok_and(|text| settings.cors_origin.is_match(text)) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}
