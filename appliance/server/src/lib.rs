//! The server: configuration, flags, boot order, readiness, and what holds the crates together.

#![forbid(unsafe_code)]

pub mod config;
pub mod tsdb_arguments;
pub mod tool_arguments;
pub mod flags;
pub mod reference;
pub mod host;
pub mod process;
pub mod kernel_events;
pub mod doctor;
pub mod targets;
pub mod query_pool;
pub mod store_source;
pub mod active_log;
pub mod query_log;
pub mod clients;
pub mod state;
pub mod relabel_steps;
pub mod features;
pub mod own_backend;
mod inbound;
mod outbound;
pub mod log;
pub mod request_line;
pub mod web_tls;
pub mod web_config;
pub mod gate;
pub mod request_id;
pub mod web;
pub mod balance;
pub mod target_thread;
pub mod own_pages;
pub mod supervisor;
pub mod auto_reload;
pub mod tsdb_command;
pub mod tool_command;
pub mod scrape_log;
pub mod boot;
