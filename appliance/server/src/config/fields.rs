//! Fields: every field that the configuration file may have, what it means, whether it is done.
//!
//! The reference page docs/operating/configuration.md is written from these tables.

/// Whether this server does what a field asks.
#[derive(Clone, Copy, Debug)]
pub enum Support {
    /// It does.
    Yes,
    /// It accepts the field, does nothing, and says this.
    Notice(&'static str),
    /// It accepts these values, which ask for what it does anyway; others are refused with this.
    Only(&'static [&'static str], &'static str),
    /// It refuses the field, unless it is empty, with this remedy.
    No(&'static str),
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key.
    pub name: &'static str,
    /// What its value is, for the reference page.
    pub form: &'static str,
    /// The value of a file that leaves it out, for the reference page.
    pub default: &'static str,
    /// Whether it is done.
    pub support: Support,
    /// What it does.
    pub doc: &'static str,
}

/// The fields of one section.
#[derive(Debug)]
pub struct Table {
    /// Heading on the reference page.
    pub title: &'static str,
    /// The type that upstream's errors name.
    pub type_name: &'static str,
    /// What the section is for.
    pub doc: &'static str,
    /// Its fields, in groups that sections share.
    pub parts: &'static [&'static [Field]],
}

impl Table {
    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = &'static Field> {
        self.parts.iter().flat_map(|part| part.iter())
    }

    /// The field of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Field> {
        self.fields().find(|field| field.name == name)
    }
}

const fn yes(
    name: &'static str,
    form: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Field {
    Field { name, form, default, support: Support::Yes, doc }
}

const fn no(name: &'static str, form: &'static str, remedy: &'static str) -> Field {
    Field { name, form, default: "", support: Support::No(remedy), doc: "" }
}

const fn only(
    name: &'static str,
    values: &'static [&'static str],
    default: &'static str,
    remedy: &'static str,
) -> Field {
    Field { name, form: "one of", default, support: Support::Only(values, remedy), doc: "" }
}

const NO_RULES: &str = "remove it: rules are not evaluated yet";
const NO_REMOTE: &str = "remove it: samples are neither sent nor read elsewhere yet";
const NO_TLS: &str = "remove it and scrape over http: TLS is not done yet";
const NO_PROXY: &str = "remove it: targets are reached directly";
const NO_LOG: &str = "remove it: the log goes to standard error";
const NO_DISCOVERY: &str = "remove it and list the targets in static_configs";

/// The whole file.
pub static TOP: Table = Table {
    title: "The file",
    type_name: "config.plain",
    doc: "",
    parts: &[&[
        yes("global", "global", "", "Defaults of all jobs."),
        Field {
            name: "runtime",
            form: "runtime",
            default: "",
            support: Support::Yes,
            doc: "Settings of Prometheus's runtime.",
        },
        yes("scrape_configs", "list of scrape config", "[]", "The jobs."),
        yes("storage", "storage", "", "How long samples are kept."),
        yes("cresset", "cresset", "", "Settings of this server that Prometheus does not have."),
        no("scrape_config_files", "list of globs", "write its jobs into scrape_configs"),
        no("rule_files", "list of globs", NO_RULES),
        no("alerting", "alerting", NO_RULES),
        no("remote_write", "list", NO_REMOTE),
        no("remote_read", "list", NO_REMOTE),
        no("tracing", "tracing", "remove it: traces are not sent"),
        no("otlp", "otlp", "remove it: OTLP is not received yet"),
    ]],
};

const LIMITS: &[Field] = &[
    yes("body_size_limit", "size", "0", "Most bytes of an answer, inflated; 0 is no limit."),
    yes("sample_limit", "count", "0", "Most samples after metric relabelling; 0 is no limit."),
    yes("label_limit", "count", "0", "Most labels of a series; 0 is no limit."),
    yes("label_name_length_limit", "count", "0", "Most bytes of a label name; 0 is no limit."),
    yes("label_value_length_limit", "count", "0", "Most bytes of a label value; 0 is no limit."),
    yes("target_limit", "count", "0", "Most targets of a job; over it all of them fail."),
    yes("keep_dropped_targets", "count", "0", "Dropped targets that are listed; 0 is all."),
];

const FORMATS: &[Field] = &[
    yes(
        "scrape_protocols",
        "list of formats",
        "[OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText1.0.0, PrometheusText0.0.4]",
        "Formats that targets are asked for, most wanted first. Where native histograms are \
         scraped, PrometheusProto is first by default.",
    ),
    yes("metric_name_validation_scheme", "utf8 or legacy", "utf8", "Which names are legal."),
    yes(
        "metric_name_escaping_scheme",
        "allow-utf-8, underscores, dots or values",
        "allow-utf-8; underscores where names are legacy",
        "What targets are asked to do with names that are not of the classic alphabet.",
    ),
    yes(
        "scrape_native_histograms",
        "boolean",
        "false",
        "Whether native histograms are scraped; else the classic ones beside them.",
    ),
    yes(
        "convert_classic_histograms_to_nhcb",
        "boolean",
        "false",
        "Whether classic histograms become native ones with custom buckets.",
    ),
    yes(
        "always_scrape_classic_histograms",
        "boolean",
        "false",
        "Whether classic histograms are kept also where there are native ones.",
    ),
    yes("extra_scrape_metrics", "boolean", "false", "Three more series about each scrape."),
    no("scrape_failure_log_file", "path", NO_LOG),
];

/// `global`
pub static GLOBAL: Table = Table {
    title: "global",
    type_name: "config.plain",
    doc: "Defaults of all jobs.",
    parts: &[
        &[
            yes("scrape_interval", "duration", "1m", "Time between scrapes of a target."),
            yes(
                "scrape_timeout",
                "duration",
                "10s",
                "Time a scrape may take; at most the interval.",
            ),
            yes("evaluation_interval", "duration", "1m", "Step of subqueries that name none."),
            yes(
                "external_labels",
                "labels",
                "{}",
                "Labels for the world outside. `${X}` is replaced by the environment.",
            ),
            Field {
                name: "rule_query_offset",
                form: "duration",
                default: "0s",
                support: Support::Notice(
                    "global.rule_query_offset has no effect: rules are not evaluated yet",
                ),
                doc: "",
            },
            yes(
                "query_log_file",
                "path",
                "",
                "File that every query is logged to, a line of JSON each; opened anew on reload.",
            ),
        ],
        FORMATS,
        LIMITS,
    ],
};

/// `runtime`
pub static RUNTIME: Table = Table {
    title: "runtime",
    type_name: "config.RuntimeConfig",
    doc: "Settings of Prometheus's runtime.",
    parts: &[&[Field {
        name: "gogc",
        form: "count",
        default: "75",
        support: Support::Notice("runtime.gogc has no effect: there is no garbage collector"),
        doc: "",
    }]],
};

const fn discovery(name: &'static str) -> Field {
    no(name, "list", NO_DISCOVERY)
}

const DISCOVERY: &[Field] = &[
    discovery("aws_sd_configs"),
    discovery("azure_sd_configs"),
    discovery("consul_sd_configs"),
    discovery("digitalocean_sd_configs"),
    discovery("dns_sd_configs"),
    discovery("docker_sd_configs"),
    discovery("dockerswarm_sd_configs"),
    discovery("ec2_sd_configs"),
    discovery("eureka_sd_configs"),
    discovery("file_sd_configs"),
    discovery("gce_sd_configs"),
    discovery("hetzner_sd_configs"),
    discovery("http_sd_configs"),
    discovery("ionos_sd_configs"),
    discovery("kubernetes_sd_configs"),
    discovery("kuma_sd_configs"),
    discovery("lightsail_sd_configs"),
    discovery("linode_sd_configs"),
    discovery("marathon_sd_configs"),
    discovery("nerve_sd_configs"),
    discovery("nomad_sd_configs"),
    discovery("oci_sd_configs"),
    discovery("openstack_sd_configs"),
    discovery("outscale_sd_configs"),
    discovery("ovhcloud_sd_configs"),
    discovery("puppetdb_sd_configs"),
    discovery("scaleway_sd_configs"),
    discovery("serverset_sd_configs"),
    discovery("stackit_sd_configs"),
    discovery("triton_sd_configs"),
    discovery("uyuni_sd_configs"),
    discovery("vultr_sd_configs"),
];

const HTTP: &[Field] = &[
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
    no("oauth2", "oauth2", "remove it: use basic_auth or authorization"),
    no("tls_config", "tls_config", NO_TLS),
    no("proxy_url", "URL", NO_PROXY),
    no("no_proxy", "list of hosts", NO_PROXY),
    only("proxy_from_environment", &["false"], "false", NO_PROXY),
    no("proxy_connect_header", "map", NO_PROXY),
];

/// One of `scrape_configs`
pub static SCRAPE: Table = Table {
    title: "scrape config",
    type_name: "config.ScrapeConfig",
    doc: "A job: targets that are scraped alike.",
    parts: &[
        &[
            yes("job_name", "text", "", "Name, once in the file; the `job` label of its series."),
            yes("scrape_interval", "duration", "global", "Time between scrapes of a target."),
            yes(
                "scrape_timeout",
                "duration",
                "global",
                "Time a scrape may take; at most the interval.",
            ),
            yes("metrics_path", "path", "/metrics", "Path of the metrics."),
            only("scheme", &["http"], "http", "use http: TLS is not done yet"),
            yes("params", "map of lists", "{}", "Parameters of the URL."),
            yes(
                "honor_labels",
                "boolean",
                "false",
                "Whether labels of the target's answer win over its own.",
            ),
            yes(
                "honor_timestamps",
                "boolean",
                "true",
                "Whether timestamps of the answer are kept.",
            ),
            yes(
                "track_timestamps_staleness",
                "boolean",
                "false",
                "Staleness markers for series with timestamps of their own.",
            ),
            yes("enable_compression", "boolean", "true", "Whether answers may come compressed."),
            yes(
                "fallback_scrape_protocol",
                "format",
                "",
                "The format of an answer without usable Content-Type.",
            ),
            yes("static_configs", "list of static config", "[]", "The targets."),
            yes("relabel_configs", "list of relabel config", "[]", "Rewrites and selects targets."),
            yes(
                "metric_relabel_configs",
                "list of relabel config",
                "[]",
                "Rewrites and selects series.",
            ),
            yes(
                "native_histogram_bucket_limit",
                "count",
                "0",
                "Most buckets of a native histogram; it is made coarser until they fit, and the \
                 scrape fails where that is not possible. 0 is no limit.",
            ),
            yes(
                "native_histogram_min_bucket_factor",
                "number",
                "0",
                "Least growth from one bucket of a native histogram to the next; finer ones are \
                 made coarser.",
            ),
        ],
        FORMATS,
        LIMITS,
        HTTP,
        DISCOVERY,
    ],
};

/// One of `static_configs`
pub static STATIC: Table = Table {
    title: "static config",
    type_name: "struct",
    doc: "Targets written out.",
    parts: &[&[
        yes("targets", "list of addresses", "[]", "Host and port of each target."),
        yes("labels", "labels", "{}", "Labels of all of them."),
    ]],
};

/// One of `relabel_configs`
pub static RELABEL: Table = Table {
    title: "relabel config",
    type_name: "relabel.plain",
    doc: "A rule that rewrites, keeps or drops a label set.",
    parts: &[&[
        yes("source_labels", "list of label names", "[]", "Labels whose values are joined."),
        yes("separator", "text", ";", "What is put between them."),
        yes("regex", "pattern", "(.*)", "Pattern over the whole of the joined values."),
        yes("modulus", "count", "0", "Divisor of hashmod."),
        yes("target_label", "label name", "", "Label that is written or compared."),
        yes("replacement", "text", "$1", "What is written."),
        yes(
            "action",
            "action",
            "replace",
            "replace, keep, drop, keepequal, dropequal, hashmod, labelmap, labeldrop, \
             labelkeep, lowercase or uppercase.",
        ),
    ]],
};

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
        yes("values", "list of texts", "[]", "Values."),
        yes("secrets", "list of secrets", "[]", "Values that are not shown."),
        yes(
            "files",
            "list of paths",
            "[]",
            "Files that hold values, read when the configuration is loaded.",
        ),
    ]],
};

/// `storage`
pub static STORAGE: Table = Table {
    title: "storage",
    type_name: "config.StorageConfig",
    doc: "",
    parts: &[&[
        yes("tsdb", "storage.tsdb", "", "How long samples are kept."),
        yes("exemplars", "storage.exemplars", "", "How many exemplars are kept."),
    ]],
};

/// `storage.exemplars`
pub static EXEMPLARS: Table = Table {
    title: "storage.exemplars",
    type_name: "config.plain",
    doc: "",
    parts: &[&[yes(
        "max_exemplars",
        "count",
        "100000",
        "Exemplars kept in memory, of all targets together; the oldest goes for the newest. 0 \
         keeps none. Takes effect with the next start.",
    )]],
};

/// `storage.tsdb`
pub static TSDB: Table = Table {
    title: "storage.tsdb",
    type_name: "config.plain",
    doc: "",
    parts: &[&[
        yes("retention", "storage.tsdb.retention", "", "How long samples are kept."),
        only(
            "out_of_order_time_window",
            &["0", "0s"],
            "0s",
            "remove it: samples out of order are refused",
        ),
        only(
            "stale_series_compaction_threshold",
            &["0", "0.0"],
            "0",
            "remove it: stale series leave memory by themselves",
        ),
        no("chunk_encoding", "chunk_encoding", "remove it: chunks have a form of their own"),
    ]],
};

/// `storage.tsdb.retention`
pub static RETENTION: Table = Table {
    title: "storage.tsdb.retention",
    type_name: "config.plain",
    doc: "",
    parts: &[&[
        yes(
            "time",
            "duration",
            "15d",
            "How long samples are kept; wins over the flag; needs a restart.",
        ),
        only("size", &["0", "0B"], "0", "remove it: only the time bounds what is kept yet"),
        only("percentage", &["0", "0.0"], "0", "remove it: only the time bounds what is kept yet"),
    ]],
};

/// `cresset`
pub static CRESSET: Table = Table {
    title: "cresset",
    type_name: "cresset",
    doc: "Settings of this server. Each needs a restart.",
    parts: &[&[
        yes(
            "shards",
            "count",
            "by the machine",
            "Shards, 1 to 1024. The directory keeps its number: it cannot change later.",
        ),
        yes("segment_size", "size", "32MiB", "Bytes of a WAL segment, 1MiB to 1GiB."),
        yes("wal_segments_max", "count", "8", "WAL segments of a shard, 2 to 1024."),
        yes(
            "series_max",
            "count",
            "by storage",
            "Series of a shard; more are refused and counted.",
        ),
        yes(
            "kernel_collectors",
            "list of strings",
            "[sched, block, tcp, irq, mm, fs]",
            "What is counted in the kernel where it lets us; sys too: failed system calls, which \
             costs every system call of the machine about 80 ns.",
        ),
    ]],
};

/// Every section, in the order of the reference page.
pub static TABLES: [&Table; 14] = [
    &TOP,
    &GLOBAL,
    &SCRAPE,
    &STATIC,
    &RELABEL,
    &BASIC_AUTH,
    &AUTHORIZATION,
    &HEADER,
    &STORAGE,
    &EXEMPLARS,
    &TSDB,
    &RETENTION,
    &RUNTIME,
    &CRESSET,
];
