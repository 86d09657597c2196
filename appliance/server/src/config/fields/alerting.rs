//! Where alerts are sent.

use crate::config::field::{Table, yes};
use crate::config::fields::discovery::DISCOVERY;
use crate::config::fields::http::HTTP;

/// `alerting`
pub static ALERTING: Table = Table {
    title: "alerting",
    type_name: "config.plain",
    doc: "Where alerts are sent.",
    parts: &[&[
        yes("alert_relabel_configs", "list of relabel config", "[]", "Rewrites and drops alerts."),
        yes("alertmanagers", "list of alertmanager", "[]", "The receivers."),
    ]],
};

/// One of `alertmanagers`
pub static ALERTMANAGER: Table = Table {
    title: "alertmanager",
    type_name: "config.AlertmanagerConfig",
    doc: "Receivers of alerts that are reached alike.",
    parts: &[
        &[
            yes("scheme", "text", "http", "http or https."),
            yes("path_prefix", "path", "", "What their paths begin with."),
            yes("timeout", "duration", "10s", "Time that a request may take."),
            yes("api_version", "text", "v2", "Only v2 is left."),
            yes("static_configs", "list of static config", "[]", "Their addresses."),
            yes("relabel_configs", "list of relabel config", "[]", "Rewrites and selects them."),
            yes(
                "alert_relabel_configs",
                "list of relabel config",
                "[]",
                "Rewrites and drops the alerts that these get.",
            ),
            yes("sigv4", "sigv4", "", "Signatures for AWS."),
        ],
        HTTP,
        DISCOVERY,
    ],
};
