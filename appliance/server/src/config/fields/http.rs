//! How others are reached over HTTP: credentials, headers, TLS, proxies.

use crate::config::field::{Field, Support, Table, no, only, yes};

const NO_TLS: &str = "remove it and scrape over http: TLS is not done yet";
const NO_PROXY: &str = "remove it: targets are reached directly";

/// Fields of whatever is reached over HTTP.
pub const HTTP: &[Field] = &[
    yes("basic_auth", "basic_auth", "", "User and password of every scrape."),
    yes("authorization", "authorization", "", "The Authorization header of every scrape."),
    yes("bearer_token", "secret", "", "Old form of authorization.credentials."),
    yes("bearer_token_file", "path", "", "Old form of authorization.credentials_file."),
    yes("http_headers", "map of http_headers", "{}", "Further headers by name."),
    yes("follow_redirects", "boolean", "true", "Whether redirects are followed."),
    Field {
        name: "enable_http2",
        form: "boolean",
        default: "true",
        support: Support::Yes,
        doc: "HTTP/2 is only spoken over TLS, so that HTTP/1.1 is used either way.",
    },
    no("oauth2", "anything", "remove it: use basic_auth or authorization"),
    no("tls_config", "anything", NO_TLS),
    no("proxy_url", "URL", NO_PROXY),
    no("no_proxy", "text", NO_PROXY),
    only("proxy_from_environment", "boolean", &["false"], "false", NO_PROXY),
    no("proxy_connect_header", "map of list of secret", NO_PROXY),
];

/// `basic_auth`
pub static BASIC_AUTH: Table = Table {
    title: "basic_auth",
    type_name: "config.BasicAuth",
    doc: "User and password. Files are read when the configuration is loaded.",
    parts: &[&[
        yes("username", "text", "", "User."),
        yes("username_file", "path", "", "File that holds it."),
        yes("password", "secret", "", "Password."),
        yes("password_file", "path", "", "File that holds it."),
    ]],
};

/// `authorization`
pub static AUTHORIZATION: Table = Table {
    title: "authorization",
    type_name: "config.Authorization",
    doc: "The Authorization header. Files are read when the configuration is loaded.",
    parts: &[&[
        yes("type", "text", "Bearer", "Its first word."),
        yes("credentials", "secret", "", "The rest."),
        yes("credentials_file", "path", "", "File that holds the rest."),
    ]],
};

/// One of `http_headers`
pub static HEADER: Table = Table {
    title: "http_headers",
    type_name: "config.Header",
    doc: "Values of one header.",
    parts: &[&[
        yes("values", "list of text", "[]", "Values."),
        yes("secrets", "list of secret", "[]", "Values that are not shown."),
        yes(
            "files",
            "list of path",
            "[]",
            "Files that hold values, read when the configuration is loaded.",
        ),
    ]],
};
