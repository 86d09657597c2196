//! Bodies: every path whose requests carry more than a form.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;

use crate::call::Context;
use crate::import::{Form, import};
use crate::routes::Methods;
use crate::{otlp_write, push, remote_write};

/// What a path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Remote write.
    Write,
    /// Lines of samples.
    Import(Form),
    /// OTLP metrics.
    Otlp,
    /// Groups of batch jobs.
    Push,
}

/// One path.
#[derive(Clone, Copy, Debug)]
pub struct BodyRoute {
    /// The path as axum matches it.
    pub path: &'static str,
    /// Which methods it answers.
    pub methods: Methods,
    /// What it takes.
    pub body: Body,
}

/// Every path.
pub const BODY_ROUTES: &[BodyRoute] = &[
    BodyRoute { path: "/api/v1/write", methods: Methods::Post, body: Body::Write },
    BodyRoute { path: "/api/v1/import", methods: Methods::Change, body: Body::Import(Form::Json) },
    BodyRoute {
        path: "/api/v1/import/csv",
        methods: Methods::Change,
        body: Body::Import(Form::Csv),
    },
    BodyRoute {
        path: "/api/v1/import/prometheus",
        methods: Methods::Change,
        body: Body::Import(Form::Text),
    },
    BodyRoute { path: "/api/v1/otlp/v1/metrics", methods: Methods::Post, body: Body::Otlp },
    BodyRoute { path: "/metrics/job/{*group}", methods: Methods::Push, body: Body::Push },
    BodyRoute { path: "/metrics/job@base64/{*group}", methods: Methods::Push, body: Body::Push },
];

/// Answers a request to one of them.
pub async fn answer(body: Body, context: Arc<Context>, request: Request) -> Response {
    match body {
        Body::Write => remote_write::write(context, request).await,
        Body::Import(form) => import(form, context, request).await,
        Body::Otlp => otlp_write::write(context, request).await,
        Body::Push => push::push(context, request).await,
    }
}
