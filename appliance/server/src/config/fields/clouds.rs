//! Ways to find targets that are not done: recognised, checked as upstream checks them, refused by
//! name.
//!
//! Source: the `SDConfig` types and their `UnmarshalYAML` in Prometheus's `discovery` packages.

use crate::config::field::{Field, Support, Table};
use crate::config::fields::http::HTTP;

/// What must hold of a section.
#[derive(Clone, Copy, Debug)]
pub enum Rule {
    /// One of these fields has a value.
    Some(&'static [&'static str], &'static str),
    /// At most one of these fields has a value.
    One(&'static [&'static str], &'static str),
    /// None of these fields has a value.
    None(&'static [&'static str], &'static str),
    /// The field, or else this default, is one of these words; the text ends with what it is.
    Word(&'static str, &'static str, &'static [&'static str], &'static str),
    /// The field is a URL with scheme and host.
    Url(&'static str, &'static str),
    /// The items of the field begin with a slash.
    Slashes(&'static str, &'static str),
    /// The field, or else this default, is this word, so that further rules hold.
    When(&'static str, &'static str, &'static str, &'static [Rule]),
}

/// One way.
#[derive(Debug)]
pub struct Cloud {
    /// The field of a job.
    pub field: &'static str,
    /// What each of its items may hold.
    pub table: &'static Table,
    /// What must hold, in the order that upstream looks.
    pub rules: &'static [Rule],
}

/// A field that is only looked at: the reference page has none of them.
const fn field(name: &'static str, form: &'static str) -> Field {
    Field { name, form, default: "", support: Support::Yes, doc: "" }
}

const fn word(name: &'static str) -> Field {
    field(name, "text")
}

const fn secret(name: &'static str) -> Field {
    field(name, "secret")
}

const fn list(name: &'static str) -> Field {
    field(name, "list of text")
}

const REFRESH: Field = field("refresh_interval", "duration");
const TIMEOUT: Field = field("timeout", "duration");
const PORT: Field = field("port", "integer");
const FILTERS: Field = field("filters", "list of anything");

/// A way whose items have these fields and rules.
macro_rules! cloud {
    ($name:literal, $parts:expr, $rules:expr $(,)?) => {
        Cloud {
            field: concat!($name, "_sd_configs"),
            table: {
                static TABLE: Table = Table {
                    title: concat!($name, "_sd"),
                    type_name: concat!($name, ".plain"),
                    doc: "",
                    parts: $parts,
                };
                &TABLE
            },
            rules: $rules,
        }
    };
}

const AWS: &[Field] = &[
    word("endpoint"),
    word("region"),
    word("access_key"),
    secret("secret_key"),
    word("profile"),
    word("role_arn"),
    word("external_id"),
    REFRESH,
    PORT,
];

/// Every way that is not done.
pub static CLOUDS: &[Cloud] = &[
    cloud!(
        "aws",
        &[&[word("role"), FILTERS, list("clusters")], AWS, HTTP],
        &[Rule::Word(
            "role",
            "",
            &["ec2", "ecs", "elasticache", "lightsail", "msk", "rds"],
            "unknown AWS SD role",
        )],
    ),
    cloud!("ec2", &[&[FILTERS], AWS, HTTP], &[]),
    cloud!("lightsail", &[AWS, HTTP], &[]),
    cloud!(
        "azure",
        &[
            &[
                word("environment"),
                PORT,
                word("subscription_id"),
                word("tenant_id"),
                word("client_id"),
                secret("client_secret"),
                REFRESH,
                word("authentication_method"),
                word("resource_group"),
            ],
            HTTP,
        ],
        &[
            Rule::Some(&["subscription_id"], "azure SD configuration requires a subscription_id",),
            Rule::When(
                "authentication_method",
                "OAuth",
                "OAuth",
                &[
                    Rule::Some(&["tenant_id"], "azure SD configuration requires a tenant_id"),
                    Rule::Some(&["client_id"], "azure SD configuration requires a client_id"),
                    Rule::Some(
                        &["client_secret"],
                        "azure SD configuration requires a client_secret",
                    ),
                ],
            ),
            Rule::Word(
                "authentication_method",
                "OAuth",
                &["OAuth", "ManagedIdentity", "SDK", "WorkloadIdentity"],
                "unknown authentication_type",
            ),
        ],
    ),
    cloud!(
        "digitalocean",
        &[&[REFRESH, PORT, word("role")], HTTP],
        &[Rule::Word(
            "role",
            "droplets",
            &["droplets", "databases"],
            "unknown DigitalOcean SD role"
        )],
    ),
    cloud!(
        "eureka",
        &[&[word("server"), REFRESH], HTTP],
        &[
            Rule::Some(&["server"], "eureka_sd: empty or null eureka server"),
            Rule::Url("server", "eureka_sd: invalid eureka server URL"),
        ],
    ),
    cloud!(
        "gce",
        &[&[word("project"), word("zone"), word("filter"), REFRESH, PORT, word("tag_separator"),]],
        &[
            Rule::Some(&["project"], "GCE SD configuration requires a project"),
            Rule::Some(&["zone"], "GCE SD configuration requires a zone"),
        ],
    ),
    cloud!(
        "hetzner",
        &[&[REFRESH, PORT, word("role"), word("label_selector")], HTTP],
        &[
            Rule::Some(&["role"], "role missing (one of: robot, hcloud)"),
            Rule::Word("role", "hcloud", &["robot", "hcloud"], "unknown role"),
        ],
    ),
    cloud!(
        "ionos",
        &[&[word("datacenter_id"), REFRESH, PORT], HTTP],
        &[Rule::Some(&["datacenter_id"], "datacenter id can't be empty")],
    ),
    cloud!(
        "kuma",
        &[&[REFRESH, field("fetch_timeout", "duration"), word("server"), word("client_id")], HTTP,],
        &[
            Rule::Some(&["server"], "kuma SD server must not be empty"),
            Rule::Url("server", "kuma SD server must not be empty and have a scheme"),
        ],
    ),
    cloud!("linode", &[&[REFRESH, PORT, word("tag_separator"), word("region")], HTTP], &[]),
    cloud!(
        "marathon",
        &[&[list("servers"), REFRESH, secret("auth_token"), word("auth_token_file")], HTTP],
        &[
            Rule::Some(&["servers"], "marathon_sd: must contain at least one Marathon server"),
            Rule::One(
                &["auth_token", "auth_token_file"],
                "marathon_sd: at most one of auth_token & auth_token_file must be configured",
            ),
            Rule::One(
                &["auth_token", "auth_token_file", "basic_auth"],
                "marathon_sd: at most one of basic_auth, auth_token & auth_token_file must be \
                 configured",
            ),
            Rule::One(
                &["auth_token", "auth_token_file", "bearer_token", "bearer_token_file"],
                "marathon_sd: at most one of bearer_token, bearer_token_file, auth_token & \
                 auth_token_file must be configured",
            ),
            Rule::One(
                &["auth_token", "auth_token_file", "authorization"],
                "marathon_sd: at most one of auth_token, auth_token_file & authorization must be \
                 configured",
            ),
        ],
    ),
    cloud!(
        "nerve",
        &[&[list("servers"), list("paths"), TIMEOUT]],
        &[
            Rule::Some(&["servers"], "nerve SD config must contain at least one Zookeeper server"),
            Rule::Some(&["paths"], "nerve SD config must contain at least one path"),
            Rule::Slashes("paths", "nerve SD config paths must begin with '/'"),
        ],
    ),
    cloud!(
        "serverset",
        &[&[list("servers"), list("paths"), TIMEOUT]],
        &[
            Rule::Some(
                &["servers"],
                "serverset SD config must contain at least one Zookeeper server",
            ),
            Rule::Some(&["paths"], "serverset SD config must contain at least one path"),
            Rule::Slashes("paths", "serverset SD config paths must begin with '/'"),
        ],
    ),
    cloud!(
        "oci",
        &[
            &[
                word("auth"),
                word("tenancy"),
                word("user"),
                word("fingerprint"),
                word("key_file"),
                secret("key_passphrase"),
                word("key_passphrase_file"),
                word("region"),
                list("compartments"),
                PORT,
                REFRESH,
            ],
            HTTP,
        ],
        OCI_RULES,
    ),
    cloud!(
        "openstack",
        &[&[
            word("identity_endpoint"),
            word("username"),
            word("userid"),
            secret("password"),
            word("project_name"),
            word("project_id"),
            word("domain_name"),
            word("domain_id"),
            word("application_credential_name"),
            word("application_credential_id"),
            secret("application_credential_secret"),
            word("role"),
            word("region"),
            REFRESH,
            PORT,
            field("all_tenants", "boolean"),
            field("tls_config", "tls_config"),
            word("availability"),
        ]],
        &[
            Rule::Word(
                "availability",
                "public",
                &["public", "internal", "admin"],
                "unknown availability, must be one of admin, internal or public, but is",
            ),
            Rule::Some(&["role"], "role missing (one of: instance, hypervisor, loadbalancer)"),
            Rule::Word(
                "role",
                "instance",
                &["instance", "hypervisor", "loadbalancer"],
                "unknown OpenStack SD role",
            ),
            Rule::Some(&["region"], "openstack SD configuration requires a region"),
        ],
    ),
    cloud!(
        "outscale",
        &[
            &[
                word("endpoint"),
                word("region"),
                word("access_key"),
                secret("secret_key"),
                word("secret_key_file"),
                REFRESH,
                PORT,
            ],
            HTTP,
        ],
        &[
            Rule::Some(&["region"], "outscale SD configuration requires a region"),
            Rule::Some(&["access_key"], "outscale SD configuration requires access_key"),
            Rule::Some(KEYS, KEY_MISSING),
            Rule::One(KEYS, KEY_TWICE),
        ],
    ),
    cloud!(
        "ovhcloud",
        &[&[
            word("endpoint"),
            word("application_key"),
            secret("application_secret"),
            secret("consumer_key"),
            REFRESH,
            word("service"),
        ]],
        &[
            Rule::Some(&["application_key"], "application key can not be empty"),
            Rule::Some(&["application_secret"], "application secret can not be empty"),
            Rule::Some(&["consumer_key"], "consumer key can not be empty"),
            Rule::Word("service", "", &["dedicated_server", "vps"], "unknown service:"),
        ],
    ),
    cloud!(
        "scaleway",
        &[
            &[
                word("project_id"),
                word("api_url"),
                word("zone"),
                word("access_key"),
                secret("secret_key"),
                word("secret_key_file"),
                word("name_filter"),
                list("tags_filter"),
                REFRESH,
                PORT,
                word("role"),
            ],
            HTTP,
        ],
        &[
            Rule::Some(&["role"], "role missing (one of: instance, baremetal)"),
            Rule::Word("role", "instance", &["instance", "baremetal"], "unknown role"),
            Rule::Some(&["project_id"], "project_id is mandatory"),
            Rule::Some(KEYS, KEY_MISSING),
            Rule::One(KEYS, KEY_TWICE),
            Rule::Some(&["access_key"], "access_key is mandatory"),
        ],
    ),
    cloud!(
        "stackit",
        &[
            &[
                word("project"),
                REFRESH,
                PORT,
                word("region"),
                word("endpoint"),
                secret("service_account_key"),
                secret("private_key"),
                word("service_account_key_path"),
                word("private_key_path"),
                word("credentials_file_path"),
            ],
            HTTP,
        ],
        &[],
    ),
    cloud!(
        "triton",
        &[&[
            word("account"),
            word("role"),
            word("dns_suffix"),
            word("endpoint"),
            list("groups"),
            PORT,
            REFRESH,
            field("tls_config", "tls_config"),
            field("version", "integer"),
        ]],
        &[
            Rule::Word(
                "role",
                "container",
                &["container", "cn"],
                "triton SD configuration requires role to be 'container' or 'cn', not",
            ),
            Rule::Some(&["account"], "triton SD configuration requires an account"),
            Rule::Some(&["dns_suffix"], "triton SD configuration requires a dns_suffix"),
            Rule::Some(&["endpoint"], "triton SD configuration requires an endpoint"),
        ],
    ),
    cloud!(
        "uyuni",
        &[
            &[
                word("server"),
                word("username"),
                secret("password"),
                word("entitlement"),
                word("separator"),
                REFRESH,
            ],
            HTTP,
        ],
        &[
            Rule::Some(&["server"], "Uyuni SD configuration requires server host"),
            Rule::Some(&["username"], "Uyuni SD configuration requires a username"),
            Rule::Some(&["password"], "Uyuni SD configuration requires a password"),
        ],
    ),
    cloud!("vultr", &[&[REFRESH, PORT], HTTP], &[]),
];

const KEYS: &[&str] = &["secret_key", "secret_key_file"];
const KEY_MISSING: &str = "one of secret_key & secret_key_file must be configured";
const KEY_TWICE: &str = "at most one of secret_key & secret_key_file must be configured";

const OCI_RULES: &[Rule] = &[
    Rule::Word(
        "auth",
        "api_key",
        &["api_key", "instance_principal"],
        "oci_sd: unknown auth method",
    ),
    Rule::Some(&["region"], "oci_sd: region is required"),
    Rule::When(
        "auth",
        "api_key",
        "api_key",
        &[
            Rule::Some(&["tenancy"], "oci_sd: api_key auth requires tenancy"),
            Rule::Some(&["user"], "oci_sd: api_key auth requires user"),
            Rule::Some(&["fingerprint"], "oci_sd: api_key auth requires fingerprint"),
            Rule::Some(&["key_file"], "oci_sd: api_key auth requires key_file"),
            Rule::One(
                &["key_passphrase", "key_passphrase_file"],
                "oci_sd: at most one of key_passphrase and key_passphrase_file must be configured",
            ),
        ],
    ),
    Rule::When(
        "auth",
        "api_key",
        "instance_principal",
        &[Rule::None(
            &[
                "tenancy",
                "user",
                "fingerprint",
                "key_file",
                "key_passphrase",
                "key_passphrase_file",
            ],
            "oci_sd: instance_principal auth must not have tenancy, user, fingerprint, key_file, \
             key_passphrase, or key_passphrase_file set",
        )],
    ),
];
