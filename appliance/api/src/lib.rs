//! The HTTP API of Prometheus over a backend, as an axum router that tests call without a socket.
//!
//! Never: a clock of its own, a thread of its own, a shard.

#![forbid(unsafe_code)]

pub mod failure;
pub mod timestamp;
pub mod label_escape;
pub mod parameters;
pub mod selector;
pub mod histogram;
pub mod json;
pub mod coding;
pub mod answer;
pub mod stream;
pub mod query_stats;
pub mod active;
pub mod inbound;
pub mod outbound;
pub mod backend;
pub mod requests;
pub mod receiver;
pub mod subscribers;
pub mod groups;
pub mod push_gateway;
pub mod streams;
pub mod call;
pub mod receive;
pub mod remote_write;
pub mod import;
pub mod otlp_json;
pub mod otlp_write;
pub mod push;
pub mod tree;
pub mod query_endpoints;
pub mod active_endpoints;
pub mod admin_endpoints;
pub mod federate_endpoint;
pub mod openapi;
pub mod self_metrics;
pub mod read_endpoint;
pub mod metrics_page;
pub mod status_endpoints;
pub mod rule_endpoints;
pub mod target_endpoints;
pub mod metadata_endpoints;
pub mod series_endpoints;
pub mod export_endpoints;
pub mod live;
pub mod routes;
pub mod bodies;
pub mod router;
