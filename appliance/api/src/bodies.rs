//! Bodies: every path whose requests carry more than a form.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;

use crate::call::Context;
use crate::remote_write;
use crate::routes::Methods;

/// What a path takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Remote write.
    Write,
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
pub const BODY_ROUTES: &[BodyRoute] =
    &[BodyRoute { path: "/api/v1/write", methods: Methods::Post, body: Body::Write }];

/// Answers a request to one of them.
pub async fn answer(body: Body, context: Arc<Context>, request: Request) -> Response {
    match body {
        Body::Write => remote_write::write(context, request).await,
    }
}
