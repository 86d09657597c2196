//! OTLP metrics: what OpenTelemetry sends, and the series that it becomes.
//!
//! Path: body → `message` (protocol buffers; JSON is read elsewhere) → `request` → `translate` →
//! `builder`.
//! Source: opentelemetry-proto 1.x; Prometheus's `storage/remote/otlptranslator` and the
//! otlptranslator library for names.

pub mod request;

pub mod message;

pub mod naming;

pub mod translate;
