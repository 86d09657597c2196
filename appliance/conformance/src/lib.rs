//! Judges the appliance by public test data, suite by suite.
//!
//! Never: part of the product; reads files below the directory it is given, nothing else.

#![forbid(unsafe_code)]

pub mod report;

pub mod answers;
pub mod cases;
pub mod exposition;
pub mod openmetrics;
pub mod protobuf;
pub mod relabel;
pub mod schema;
pub mod config;
pub mod expressions;
pub mod memory;
pub mod process;
pub mod pushed;
pub mod promql_parse;
pub mod promql_pretty;
pub mod promql_real;

pub mod compliance;
pub mod dashboards;

pub mod promqltest;
pub mod federate;
pub mod tsdb;
pub mod downsample;

pub mod openapi;
pub mod remotewrite_receiver;

pub mod random;
pub mod naive;

pub mod suite;
