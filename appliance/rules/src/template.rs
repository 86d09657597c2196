//! Templates of labels and annotations: Go's text/template with Prometheus's functions.
//!
//! Path: text → `token` → `parse` → `tree`.
//! Source: Go's package text/template; Prometheus's `template/template.go` for the functions.

pub mod tree;

pub mod token;

pub mod parse;
