//! HTTP for everything but the usual scrape: discovery, tokens, HTTP/2, whoever exports.
//!
//! Never: sits on the path of a scrape over HTTP/1.1; that path takes from here only what TLS,
//! proxies and credentials are made of.

#![forbid(unsafe_code)]

pub mod base64;
pub mod location;
pub mod words;
pub mod certificate;
pub mod verify;
pub mod secret;
pub mod tls;
pub mod proxy;
pub mod headers;
pub mod transport;
pub mod token;
pub mod access;
pub mod http;
