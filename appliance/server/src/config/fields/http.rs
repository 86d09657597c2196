//! How others are reached over HTTP: credentials, headers, TLS, proxies.

use crate::config::field::{Field, Table, no, only, yes};

const NO_JWT: &str = "use client_credentials: grants by JWT are not done";

/// Which proxy.
const PROXY: &[Field] = &[
    yes("proxy_url", "URL", "", "Proxy, `http://host:port`, maybe with user and password."),
    yes(
        "no_proxy",
        "text",
        "",
        "What is reached without the proxy, separated by commas. Where it is set, this machine is \
         too.",
    ),
    yes(
        "proxy_from_environment",
        "boolean",
        "false",
        "Whether HTTP_PROXY, HTTPS_PROXY and NO_PROXY say which proxy.",
    ),
    yes(
        "proxy_connect_header",
        "map of list of secret",
        "{}",
        "Headers that the proxy gets with CONNECT.",
    ),
];

/// Fields of whatever is reached over HTTP.
pub const HTTP: &[Field] = &[
    yes("basic_auth", "basic_auth", "", "User and password."),
    yes("authorization", "authorization", "", "The Authorization header."),
    yes("oauth2", "oauth2", "", "Where a token for the Authorization header is had."),
    yes("bearer_token", "secret", "", "Old form of authorization.credentials."),
    yes("bearer_token_file", "path", "", "Old form of authorization.credentials_file."),
    yes("tls_config", "tls_config", "", "Certificates and versions, for https."),
    yes("http_headers", "map of http_headers", "{}", "Further headers by name."),
    yes("follow_redirects", "boolean", "true", "Whether redirects are followed."),
    yes("enable_http2", "boolean", "true", "Whether servers that want HTTP/2 get it, over TLS."),
    PROXY[0],
    PROXY[1],
    PROXY[2],
    PROXY[3],
];

/// A file of `--http.config.file`, by which the command line reaches a server.
pub static HTTP_CLIENT: Table = Table {
    title: "http config file",
    type_name: "config.HTTPClientConfig",
    doc: "How `cresset query` and others reach a server (`--http.config.file`).",
    parts: &[HTTP],
};
/// The same for remote writes, which keep to HTTP/1.1 unless they are told otherwise.
pub const HTTP_OF_WRITES: &[Field] = &[
    HTTP[0],
    HTTP[1],
    HTTP[2],
    HTTP[3],
    HTTP[4],
    HTTP[5],
    HTTP[6],
    HTTP[7],
    yes("enable_http2", "boolean", "false", HTTP[8].doc),
    PROXY[0],
    PROXY[1],
    PROXY[2],
    PROXY[3],
];

/// `basic_auth`
pub static BASIC_AUTH: Table = Table {
    title: "basic_auth",
    type_name: "config.BasicAuth",
    doc: "User and password. Files are read again as they change.",
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
    doc: "The Authorization header. Files are read again as they change.",
    parts: &[&[
        yes("type", "text", "Bearer", "Its first word."),
        yes("credentials", "secret", "", "The rest."),
        yes("credentials_file", "path", "", "File that holds the rest."),
    ]],
};

/// `oauth2`
pub static OAUTH2: Table = Table {
    title: "oauth2",
    type_name: "config.plain",
    doc: "A token by client credentials (RFC 6749, section 4.4), asked for anew before it expires.",
    parts: &[
        &[
            yes("client_id", "text", "", "Who asks; required."),
            yes("client_secret", "secret", "", "Its secret."),
            yes("client_secret_file", "path", "", "File that holds it."),
            yes("scopes", "list of text", "[]", "What the token is to be good for."),
            yes("token_url", "URL", "", "Where tokens are given; required."),
            yes("endpoint_params", "map of text", "{}", "Further fields of the request."),
            yes("tls_config", "tls_config", "", "TLS of the token server."),
            only("grant_type", "text", &["client_credentials"], "client_credentials", NO_JWT),
            no("client_certificate_key_id", "text", NO_JWT),
            no("client_certificate_key", "secret", NO_JWT),
            no("client_certificate_key_file", "path", NO_JWT),
            no("signature_algorithm", "text", NO_JWT),
            no("iss", "text", NO_JWT),
            no("audience", "text", NO_JWT),
            no("claims", "anything", NO_JWT),
        ],
        PROXY,
    ],
};

/// `tls_config`
pub static TLS_CONFIG: Table = Table {
    title: "tls_config",
    type_name: "config.plain",
    doc: "Certificates as PEM. Files are read again as they change.",
    parts: &[&[
        yes("ca", "text", "the system's", "Certificates that are trusted."),
        yes("ca_file", "path", "", "File that holds them."),
        yes("cert", "text", "", "Our own certificate, and those that lead to its authority."),
        yes("cert_file", "path", "", "File that holds them."),
        yes("key", "secret", "", "Its key."),
        yes("key_file", "path", "", "File that holds it."),
        yes("server_name", "text", "the address's", "Name that the server's certificate is for."),
        yes("insecure_skip_verify", "boolean", "false", "Whether any certificate will do."),
        yes(
            "min_version",
            "text",
            "TLS12",
            "Oldest version, TLS10 to TLS13; below TLS12 it is TLS12.",
        ),
        yes("max_version", "text", "TLS13", "Newest version, TLS12 or TLS13."),
        no("next_protos", "list of text", "remove it: enable_http2 says what is offered"),
    ]],
};

/// One of `http_headers`
pub static HEADER: Table = Table {
    title: "http_headers",
    type_name: "config.Header",
    doc: "Values of one header. Files are read again as they change.",
    parts: &[&[
        yes("values", "list of text", "[]", "Values."),
        yes("secrets", "list of secret", "[]", "Values that are not shown."),
        yes("files", "list of path", "[]", "Files that hold values that are not shown."),
    ]],
};
