//! Where samples are sent to and read from besides the own disk.

use crate::config::field::{Field, Table, yes};
use crate::config::fields::http::{HTTP, HTTP_OF_WRITES};

/// One of `remote_write`
pub static REMOTE_WRITE: Table = Table {
    title: "remote write",
    type_name: "config.plain",
    doc: "A receiver of samples.",
    parts: &[
        &[
            yes("url", "URL", "", "Where samples are sent."),
            yes("name", "name", "", "Name in metrics, once in the file."),
            yes(
                "protobuf_message",
                "text",
                "prometheus.WriteRequest",
                "prometheus.WriteRequest or io.prometheus.write.v2.Request.",
            ),
            yes("remote_timeout", "duration", "30s", "Time that a request may take."),
            yes("headers", "labels", "{}", "Further headers by name."),
            yes(
                "write_relabel_configs",
                "list of relabel config",
                "[]",
                "Rewrites and selects what is sent.",
            ),
            yes("send_exemplars", "boolean", "false", "Whether exemplars are sent."),
            yes("send_native_histograms", "boolean", "false", "Whether these are sent."),
            yes("round_robin_dns", "boolean", "false", "Whether all addresses take turns."),
            yes("failed_request_logging", "boolean", "false", "Whether failed ones are logged."),
            yes("queue_config", "queue_config", "", "How samples wait."),
            yes("metadata_config", "metadata_config", "", "How metadata is sent."),
            yes("sigv4", "sigv4", "", "Signatures for AWS."),
            yes("azuread", "azuread", "", "Tokens of Azure."),
            yes("google_iam", "google_iam", "", "Tokens of Google."),
        ],
        HTTP_OF_WRITES,
    ],
};

/// `queue_config`
pub static QUEUE: Table = Table {
    title: "queue_config",
    type_name: "config.QueueConfig",
    doc: "",
    parts: &[&[
        yes("capacity", "integer", "10000", "Samples that a shard holds."),
        yes("max_shards", "integer", "50", "Most requests at once."),
        yes("min_shards", "integer", "1", "Fewest."),
        yes("max_samples_per_send", "integer", "2000", "Most samples of a request."),
        yes("batch_send_deadline", "duration", "5s", "Longest wait for a full request."),
        yes("min_backoff", "duration", "30ms", "First wait after a failure."),
        yes("max_backoff", "duration", "5s", "Longest."),
        yes("retry_on_http_429", "boolean", "false", "Whether 429 is tried again."),
        yes("sample_age_limit", "duration", "0s", "Age at which samples are given up."),
    ]],
};

/// `metadata_config`
pub static METADATA: Table = Table {
    title: "metadata_config",
    type_name: "config.MetadataConfig",
    doc: "",
    parts: &[&[
        yes("send", "boolean", "true", "Whether metadata is sent."),
        yes("send_interval", "duration", "1m", "How often."),
        yes("max_samples_per_send", "integer", "2000", "Most of a request."),
    ]],
};

/// One of `remote_read`
pub static REMOTE_READ: Table = Table {
    title: "remote read",
    type_name: "config.plain",
    doc: "A store that queries read too.",
    parts: &[
        &[
            yes("url", "URL", "", "Where samples are read."),
            yes("name", "name", "", "Name in metrics, once in the file."),
            yes("required_matchers", "labels", "{}", "Labels a selector must ask for."),
            yes("remote_timeout", "duration", "1m", "Time that a request may take."),
            yes("chunked_read_limit", "count", "50000000", "Most bytes of a frame."),
            yes("headers", "labels", "{}", "Further headers by name."),
            yes("read_recent", "boolean", "false", "Whether also what the own disk has is read."),
            yes("filter_external_labels", "boolean", "true", "Whether these are asked for."),
        ],
        HTTP,
    ],
};

/// `sigv4`
pub static SIGV4: Table = Table {
    title: "sigv4",
    type_name: "sigv4.plain",
    doc: "",
    parts: &[&[
        yes("region", "text", "", "Region."),
        yes("access_key", "text", "", "Key."),
        yes("secret_key", "secret", "", "Its secret."),
        yes("profile", "text", "", "Profile."),
        yes("role_arn", "text", "", "Role."),
        yes("external_id", "text", "", "Id within it."),
        yes("use_fips_sts_endpoint", "boolean", "false", "Which endpoint is asked."),
        yes("service_name", "text", "", "Name that is signed."),
    ]],
};

const CLIENT: Field = yes("client_id", "text", "", "Client.");
const TENANT: Field = yes("tenant_id", "text", "", "Tenant.");

/// `azuread`
pub static AZURE_AD: Table = Table {
    title: "azuread",
    type_name: "azuread.plain",
    doc: "",
    parts: &[&[
        yes("cloud", "text", "AzurePublic", "Cloud."),
        yes("scope", "text", "", "Scope of tokens."),
        yes("managed_identity", "azuread identity", "", "A managed identity."),
        yes("workload_identity", "azuread identity", "", "A workload's identity."),
        yes("oauth", "azuread identity", "", "A client's identity."),
        yes("sdk", "azuread identity", "", "What the machine knows of itself."),
        yes("certificate", "azuread identity", "", "A certificate."),
    ]],
};

/// Any of the identities of `azuread`
pub static AZURE_IDENTITY: Table = Table {
    title: "azuread identity",
    type_name: "azuread.AzureADConfig",
    doc: "",
    parts: &[&[
        CLIENT,
        TENANT,
        yes("token_file_path", "path", "", "File of the token."),
        yes("client_secret", "secret", "", "Secret of the client."),
        yes("certificate_path", "path", "", "File of the certificate."),
        yes("certificate_key_path", "path", "", "File of its key."),
        yes("certificate_password", "secret", "", "Its password."),
        yes("send_certificate_chain", "boolean", "false", "Whether the chain is sent."),
    ]],
};

/// `google_iam`
pub static GOOGLE_IAM: Table = Table {
    title: "google_iam",
    type_name: "googleiam.Config",
    doc: "",
    parts: &[&[yes("credentials_file", "path", "", "File of the credentials.")]],
};
