//! Flags: the command line, by one table that the reference page is written from too.
//!
//! The names are Prometheus's. A flag of Prometheus that is not done is refused by name.

use std::net::SocketAddr;
use std::path::PathBuf;

use api::inbound::Receivers;
use api::outbound::ReadLimits;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use machine::reactor::IoChoice;
use model::duration::parse_duration_ms;
use model::regex::GoRegex;
use tracing::Level;

use crate::config::section::parse_size;
use crate::tool_arguments::{self, ToolTask};
use crate::tsdb_arguments::{self, TsdbTask};

/// What a flag's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Present or not; the name that says not, as upstream's parser accepts it.
    Switch(&'static str),
    /// A value, shown as this.
    Value(&'static str),
    /// A value that may be given several times, shown as this.
    Values(&'static str),
    /// A flag of Prometheus that is not done; refused with this.
    Unsupported(&'static str),
}

/// One flag.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    /// Its name without dashes.
    pub name: &'static str,
    /// What its value is.
    pub form: Form,
    /// The value of a command line that leaves it out; "" is none.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
}

const fn value(
    name: &'static str,
    shown: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Flag {
    Flag { name, form: Form::Value(shown), default, doc }
}

const fn switch(name: &'static str, off: &'static str, doc: &'static str) -> Flag {
    Flag { name, form: Form::Switch(off), default: "false", doc }
}

const fn unsupported(name: &'static str, remedy: &'static str) -> Flag {
    Flag { name, form: Form::Unsupported(remedy), default: "", doc: "" }
}

/// An agent keeps nothing and forwards all that it scrapes.
const NO_AGENT: &str = "leave it out: an agent forwards by remote_write, which is not sent yet";

/// Every flag, in the order of the reference page.
pub static FLAGS: &[Flag] = &[
    value(
        "config.file",
        "FILE",
        "",
        "Configuration, as Prometheus's prometheus.yml. Without it the server scrapes itself \
         and its machine every 5 seconds.",
    ),
    switch(
        "config.auto-reload",
        "no-config.auto-reload",
        "Load the configuration again when the file, or one that it names, is another.",
    ),
    value(
        "config.auto-reload-interval",
        "DURATION",
        "30s",
        "How often --config.auto-reload looks.",
    ),
    value(
        "storage.tsdb.path",
        "DIR",
        "data/",
        "Directory of the samples; made when it is not there.",
    ),
    value(
        "storage.tsdb.retention.time",
        "DURATION",
        "",
        "How long samples are kept; 15d where nothing bounds them. The configuration's \
         storage.tsdb.retention wins.",
    ),
    value(
        "storage.tsdb.retention.size",
        "SIZE",
        "",
        "Bytes of samples on the disk, without the log; the oldest go. The configuration's \
         storage.tsdb.retention wins.",
    ),
    value(
        "storage.tsdb.min-block-duration",
        "DURATION",
        "2h",
        "Time that the shortest blocks cover. Shorter ones are for tests.",
    ),
    Flag {
        name: "web.listen-address",
        form: Form::Values("ADDRESS"),
        default: "",
        doc: "Address and port to answer on. Several may be given. Default 0.0.0.0:9090 with \
         --config.file, 127.0.0.1:9090 without: what is only tried is not shown to the network.",
    },
    value(
        "web.external-url",
        "URL",
        "",
        "URL under which the server is reached from outside. Its host stands in targets' \
         globalUrl; its path is the default of --web.route-prefix.",
    ),
    value(
        "web.route-prefix",
        "PATH",
        "",
        "Path below which everything is answered. Default is the path of --web.external-url.",
    ),
    value(
        "web.config.file",
        "FILE",
        "",
        "TLS, client certificates, passwords and headers, as Prometheus's web configuration; read \
         again when it or a file that it names changes.",
    ),
    value(
        "web.cors.origin",
        "PATTERN",
        ".*",
        "Origins whose pages may read answers: a pattern over the whole origin.",
    ),
    value("web.max-connections", "COUNT", "512", "Most connections at once; more wait."),
    value("web.read-timeout", "DURATION", "5m", "Longest time that a connection may be silent."),
    value("web.page-title", "TEXT", "Cresset", "Title of the page at /."),
    switch(
        "web.enable-lifecycle",
        "no-web.enable-lifecycle",
        "Allow reload and shutdown by POST to /-/reload and /-/quit.",
    ),
    switch(
        "web.enable-remote-write-receiver",
        "no-web.enable-remote-write-receiver",
        "Take samples by remote write at /api/v1/write.",
    ),
    switch(
        "web.enable-otlp-receiver",
        "no-web.enable-otlp-receiver",
        "Take metrics by OTLP over HTTP at /api/v1/otlp/v1/metrics.",
    ),
    switch(
        "web.enable-push-receiver",
        "no-web.enable-push-receiver",
        "Take groups of batch jobs at /metrics/job/, as Pushgateway does.",
    ),
    Flag {
        name: "web.remote-write-receiver.accepted-protobuf-messages",
        form: Form::Values("MESSAGE"),
        default: "",
        doc: "Messages that remote write takes: prometheus.WriteRequest (1.0) and \
              io.prometheus.write.v2.Request (2.0). Default both.",
    },
    value(
        "storage.remote.read-sample-limit",
        "COUNT",
        "50000000",
        "Most samples that a remote read may have in one query where it does not ask for chunks.",
    ),
    value("storage.remote.read-concurrent-limit", "COUNT", "10", "Most remote reads at once."),
    value(
        "storage.remote.read-max-bytes-in-frame",
        "BYTES",
        "1048576",
        "Bytes after which a frame of chunks is sent to a remote read.",
    ),
    switch(
        "web.enable-admin-api",
        "no-web.enable-admin-api",
        "Allow deletion and snapshots by POST to /api/v1/admin/tsdb/.",
    ),
    value(
        "web.max-notifications-subscribers",
        "COUNT",
        "16",
        "Connections that may hear of notifications at once.",
    ),
    value("query.timeout", "DURATION", "2m", "Longest time that a query may take."),
    value(
        "query.max-concurrency",
        "COUNT",
        "20",
        "Queries that are computed at once; more wait in a queue of 50 times as many.",
    ),
    value("query.max-samples", "COUNT", "50000000", "Most samples that one query may hold."),
    value("query.lookback-delta", "DURATION", "5m", "How far an instant selector looks back."),
    Flag {
        name: "enable-feature",
        form: Form::Values("NAME,..."),
        default: "",
        doc: "Features by upstream's names. Those without effect here, and unknown ones, are \
              accepted with a warning in the log.",
    },
    value(
        "io",
        "auto|ring|epoll",
        "auto",
        "How files and sockets are worked: io_uring, or epoll where the kernel forbids it.",
    ),
    value("log.level", "debug|info|warn|error", "info", "Least level that is logged."),
    value("log.format", "logfmt|json", "logfmt", "Form of the log."),
    unsupported("agent", NO_AGENT),
    unsupported("storage.agent.path", NO_AGENT),
    unsupported("storage.agent.wal-segment-size", NO_AGENT),
    unsupported("storage.agent.wal-compression", NO_AGENT),
    unsupported("storage.agent.wal-compression-type", NO_AGENT),
    unsupported("storage.agent.wal-truncate-frequency", NO_AGENT),
    unsupported("storage.agent.retention.min-time", NO_AGENT),
    unsupported("storage.agent.retention.max-time", NO_AGENT),
    unsupported("storage.agent.no-lockfile", NO_AGENT),
    unsupported("storage.agent.checkpoint-batch-size", NO_AGENT),
    unsupported("storage.agent.checkpoint-from-in-memory-series", NO_AGENT),
];

/// Flags of Prometheus that are accepted, so that its unit files work, and do nothing here: what
/// they tune is not there, or not evaluated. Those that take no value have a name that says not, as
/// upstream's parser has it.
pub static WITHOUT_EFFECT: &[(&str, &str)] = &[
    (
        "alertmanager.drain-notification-queue-on-shutdown",
        "no-alertmanager.drain-notification-queue-on-shutdown",
    ),
    ("alertmanager.notification-batch-size", ""),
    ("alertmanager.notification-queue-capacity", ""),
    ("alertmanager.timeout", ""),
    ("auto-gomaxprocs", "no-auto-gomaxprocs"),
    ("auto-gomemlimit", "no-auto-gomemlimit"),
    ("auto-gomemlimit.ratio", ""),
    ("auto-gomemlimit.refresh-interval", ""),
    ("rules.alert.for-grace-period", ""),
    ("rules.alert.for-outage-tolerance", ""),
    ("rules.alert.resend-delay", ""),
    ("rules.max-concurrent-evals", ""),
    ("scrape.adjust-timestamps", "no-scrape.adjust-timestamps"),
    ("scrape.discovery-reload-interval", ""),
    ("scrape.timestamp-tolerance", ""),
    ("storage.remote.flush-deadline", ""),
    ("storage.tsdb.allow-overlapping-blocks", "no-storage.tsdb.allow-overlapping-blocks"),
    ("storage.tsdb.allow-overlapping-compaction", "no-storage.tsdb.allow-overlapping-compaction"),
    ("storage.tsdb.block-reload-interval", ""),
    ("storage.tsdb.delay-compact-file.path", ""),
    ("storage.tsdb.delayed-compaction.max-percent", ""),
    ("storage.tsdb.head-chunks-write-queue-size", ""),
    ("storage.tsdb.max-block-chunk-segment-size", ""),
    ("storage.tsdb.max-block-duration", ""),
    ("storage.tsdb.no-lockfile", "no-storage.tsdb.no-lockfile"),
    ("storage.tsdb.samples-per-chunk", ""),
    ("storage.tsdb.wal-compression", "no-storage.tsdb.wal-compression"),
    ("storage.tsdb.wal-compression-type", ""),
    ("storage.tsdb.wal-segment-size", ""),
    ("web.console.libraries", ""),
    ("web.console.templates", ""),
    ("web.search.max-limit", ""),
    ("web.user-assets", ""),
];

/// Names of `--enable-feature` that Prometheus knows, and whether they have an effect here; what
/// Prometheus has made permanent has none.
pub static FEATURES: &[(&str, bool)] = &[
    ("auto-reload-config", false),
    ("concurrent-rule-eval", false),
    ("created-timestamp-zero-ingestion", true),
    ("delayed-compaction", false),
    ("exemplar-storage", false),
    ("extra-scrape-metrics", true),
    ("fast-startup", false),
    ("histograms-st-encoding", false),
    ("memory-snapshot-on-shutdown", false),
    ("metadata-wal-records", false),
    ("native-histograms", false),
    ("old-ui", false),
    ("ooo-native-histograms", false),
    ("otlp-deltatocumulative", false),
    ("otlp-native-delta-ingestion", true),
    ("promql-binop-fill-modifiers", true),
    ("promql-delayed-name-removal", true),
    ("promql-duration-expr", false),
    ("promql-experimental-functions", true),
    ("promql-extended-range-selectors", true),
    ("promql-per-step-stats", true),
    ("search-api", false),
    ("st-storage", false),
    ("st-synthesis", false),
    ("type-and-unit-labels", true),
    ("use-start-timestamps", true),
    ("use-uncached-io", false),
    ("xor2-encoding", false),
];

/// What the command line asks for.
#[derive(Debug)]
pub enum Task {
    /// Run the server.
    Run(Box<Flags>),
    /// Write the schema of the configuration file.
    ConfigSchema,
    /// Look at the machine.
    Doctor {
        /// Where samples are kept.
        directory: PathBuf,
        /// Whether JSON is wanted.
        json: bool,
    },
    /// Look into data directories.
    Tsdb(TsdbTask),
    /// Check files, ask servers and what else promtool does.
    Tool(ToolTask),
}

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of keys and values.
    Logfmt,
    /// A JSON object a line.
    Json,
}

/// Flags of a running server, read and checked.
#[derive(Debug)]
pub struct Flags {
    /// `--config.file`
    pub config_file: Option<PathBuf>,
    /// `--config.auto-reload-interval`, milliseconds; `None` without `--config.auto-reload`.
    pub auto_reload_ms: Option<u64>,
    /// `--storage.tsdb.path`
    pub directory: PathBuf,
    /// `--storage.tsdb.retention.time`, milliseconds.
    pub retention_ms: Option<u64>,
    /// `--storage.tsdb.retention.size`
    pub retention_bytes: Option<u64>,
    /// `--storage.tsdb.min-block-duration`, milliseconds.
    pub block_ms_min: u64,
    /// `--web.listen-address`
    pub listen: Vec<SocketAddr>,
    /// Host of `--web.external-url`, with the port if one is written.
    pub external_host: Option<String>,
    /// `--web.route-prefix`, without the slash at its end.
    pub route_prefix: String,
    /// `--web.max-notifications-subscribers`
    pub subscribers_max: usize,
    /// `--web.config.file`
    pub web_config_file: Option<PathBuf>,
    /// `--web.cors.origin`, and whether it is any origin.
    pub cors_origin: (GoRegex, bool),
    /// `--web.max-connections`
    pub connections_max: usize,
    /// `--web.read-timeout`, milliseconds.
    pub read_timeout_ms: u64,
    /// `--web.page-title`
    pub page_title: String,
    /// `--web.enable-lifecycle`
    pub lifecycle: bool,
    /// What is taken from others.
    pub receivers: Receivers,
    /// What others may read.
    pub read_limits: ReadLimits,
    /// `--web.enable-admin-api`
    pub admin: bool,
    /// `--query.timeout`, milliseconds.
    pub query_timeout_ms: u64,
    /// `--query.max-concurrency`
    pub query_concurrency: usize,
    /// `--query.max-samples`
    pub query_samples_max: u64,
    /// `--query.lookback-delta`, milliseconds.
    pub lookback_ms: i64,
    /// `--enable-feature`
    pub features: Vec<String>,
    /// `--io`
    pub io: IoChoice,
    /// `--log.level`
    pub log_level: Level,
    /// `--log.format`
    pub log_format: LogFormat,
    /// Flags of Prometheus that were given and have no effect.
    pub without_effect: Vec<&'static str>,
    /// Every flag and its value, for `/api/v1/status/flags`.
    pub values: Vec<(String, String)>,
}

/// The command line as clap reads it.
#[must_use]
pub fn command() -> Command {
    let mut command = Command::new("cresset")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Scrapes, stores and answers PromQL over Prometheus's HTTP API")
        .args_conflicts_with_subcommands(true)
        .subcommands(tool_arguments::commands())
        .subcommand(
            Command::new("config")
                .about("What the configuration file may hold")
                .subcommand_required(true)
                .subcommand(Command::new("schema").about("Write its JSON schema, for editors")),
        )
        .subcommand(doctor())
        .subcommand(tsdb_arguments::command());
    for (name, off) in WITHOUT_EFFECT {
        let argument = Arg::new(*name).long(*name).hide(true);
        command = if off.is_empty() {
            command.arg(argument.action(ArgAction::Append))
        } else {
            let off = Arg::new(*off).long(*off).hide(true).action(ArgAction::Count);
            command.arg(argument.action(ArgAction::Count)).arg(off)
        };
    }
    for flag in FLAGS {
        let argument = Arg::new(flag.name).long(flag.name).help(flag.doc);
        command = match flag.form {
            Form::Switch(off) => {
                let off = Arg::new(off).long(off).hide(true);
                command
                    .arg(argument.action(ArgAction::SetTrue))
                    .arg(off.action(ArgAction::SetTrue).overrides_with(flag.name))
            }
            Form::Value(shown) => {
                let default = (!flag.default.is_empty()).then_some(flag.default);
                command.arg(argument.value_name(shown).default_values(default))
            }
            Form::Values(shown) => {
                command.arg(argument.value_name(shown).action(ArgAction::Append))
            }
            Form::Unsupported(_) => command.arg(
                argument
                    .hide(true)
                    .num_args(0..=1)
                    .require_equals(false)
                    .default_missing_value("true"),
            ),
        };
    }
    command
}

fn doctor() -> Command {
    let directory = Arg::new("directory").long("storage.tsdb.path").value_name("DIR");
    Command::new("doctor")
        .about("Say what this machine lets the server do, and what to fix; exit code 1 if so")
        .arg(directory.default_value("data/").help("Where samples are kept."))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("Write JSON."))
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// What clap prints and exits with: a fault, or the text of `--help` and `--version`.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Task, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    if let Some(("config", _)) = matches.subcommand() {
        return Ok(Task::ConfigSchema);
    }
    if let Some(("doctor", doctor)) = matches.subcommand() {
        let directory = PathBuf::from(text(doctor, "directory"));
        return Ok(Task::Doctor { directory, json: doctor.get_flag("json") });
    }
    let invalid = |text: String| command().error(clap::error::ErrorKind::ValueValidation, text);
    if let Some(("tsdb", tsdb)) = matches.subcommand() {
        return tsdb_arguments::task(tsdb).map(Task::Tsdb).map_err(invalid);
    }
    if let Some((name, tool)) = matches.subcommand() {
        return tool_arguments::task(name, tool).map(Task::Tool).map_err(invalid);
    }
    refuse_unsupported(&matches).map_err(invalid)?;
    flags(&matches).map(|flags| Task::Run(Box::new(flags))).map_err(invalid)
}

fn auto_reload_ms(matches: &ArgMatches) -> Result<Option<u64>, String> {
    let interval_ms = duration_ms(matches, "config.auto-reload-interval")?;
    if interval_ms < 1_000 {
        return Err("config.auto-reload-interval must be at least 1s".to_owned());
    }
    Ok(matches.get_flag("config.auto-reload").then_some(interval_ms))
}

fn refuse_unsupported(matches: &ArgMatches) -> Result<(), String> {
    for flag in FLAGS {
        if let Form::Unsupported(remedy) = flag.form
            && matches.value_source(flag.name).is_some()
        {
            return Err(format!("unsupported flag --{}; {remedy}", flag.name));
        }
    }
    Ok(())
}

fn text(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

fn texts(matches: &ArgMatches, name: &str) -> Vec<String> {
    let given = matches.get_many::<String>(name).into_iter().flatten();
    given.flat_map(|value| value.split(',')).map(str::to_owned).collect()
}

fn duration_ms(matches: &ArgMatches, name: &str) -> Result<u64, String> {
    let text = text(matches, name);
    match parse_duration_ms(&text).map(u64::try_from) {
        Ok(Ok(ms)) if ms != 0 => Ok(ms),
        Ok(_) => Err(format!("--{name} must be greater than 0")),
        Err(error) => Err(format!("--{name}: {error}")),
    }
}

fn is_given(matches: &ArgMatches, name: &str) -> bool {
    !text(matches, name).is_empty()
}

fn retention_bytes(matches: &ArgMatches) -> Result<Option<u64>, String> {
    let name = "storage.tsdb.retention.size";
    if !is_given(matches, name) {
        return Ok(None);
    }
    let bytes = parse_size(&text(matches, name)).map_err(|error| format!("--{name}: {error}"))?;
    Ok((bytes != 0).then_some(bytes))
}

fn count<T: std::str::FromStr>(matches: &ArgMatches, name: &str) -> Result<T, String> {
    let text = text(matches, name);
    match text.parse() {
        Ok(number) if text != "0" => Ok(number),
        _ => Err(format!("--{name} must be a count above 0, not {text:?}")),
    }
}

fn flags(matches: &ArgMatches) -> Result<Flags, String> {
    let config_file = matches.get_one::<String>("config.file").map(PathBuf::from);
    let any = if config_file.is_some() { "0.0.0.0:9090" } else { "127.0.0.1:9090" };
    let mut listen = texts(matches, "web.listen-address");
    if listen.is_empty() {
        listen.push(any.to_owned());
    }
    let origin = text(matches, "web.cors.origin");
    let pattern =
        GoRegex::anchored(&origin).map_err(|error| format!("--web.cors.origin: {error}"))?;
    Ok(Flags {
        directory: PathBuf::from(text(matches, "storage.tsdb.path")),
        retention_ms: is_given(matches, "storage.tsdb.retention.time")
            .then(|| duration_ms(matches, "storage.tsdb.retention.time"))
            .transpose()?,
        retention_bytes: retention_bytes(matches)?,
        block_ms_min: duration_ms(matches, "storage.tsdb.min-block-duration")?,
        listen: listen.iter().map(|text| address(text)).collect::<Result<_, _>>()?,
        external_host: external_host(&text(matches, "web.external-url"))?,
        route_prefix: route_prefix(
            &text(matches, "web.route-prefix"),
            &text(matches, "web.external-url"),
        )?,
        web_config_file: Some(text(matches, "web.config.file"))
            .filter(|file| !file.is_empty())
            .map(PathBuf::from),
        cors_origin: (pattern, origin == ".*"),
        connections_max: count(matches, "web.max-connections")?,
        subscribers_max: count(matches, "web.max-notifications-subscribers")?,
        read_timeout_ms: duration_ms(matches, "web.read-timeout")?,
        page_title: text(matches, "web.page-title"),
        lifecycle: matches.get_flag("web.enable-lifecycle"),
        receivers: receivers(matches)?,
        auto_reload_ms: auto_reload_ms(matches)?,
        read_limits: ReadLimits {
            samples_max: count(matches, "storage.remote.read-sample-limit")?,
            concurrent_max: count(matches, "storage.remote.read-concurrent-limit")?,
            frame_bytes_max: count(matches, "storage.remote.read-max-bytes-in-frame")?,
        },
        admin: matches.get_flag("web.enable-admin-api"),
        query_timeout_ms: duration_ms(matches, "query.timeout")?,
        query_concurrency: count(matches, "query.max-concurrency")?,
        query_samples_max: count(matches, "query.max-samples")?,
        lookback_ms: i64::try_from(duration_ms(matches, "query.lookback-delta")?)
            .map_err(|_| "--query.lookback-delta is too long".to_owned())?,
        features: texts(matches, "enable-feature"),
        io: match text(matches, "io").as_str() {
            "auto" => IoChoice::Auto,
            "ring" => IoChoice::Ring,
            "epoll" => IoChoice::Epoll,
            other => return Err(format!("--io must be auto, ring or epoll, not {other:?}")),
        },
        log_level: log_level(&text(matches, "log.level"))?,
        log_format: match text(matches, "log.format").as_str() {
            "logfmt" => LogFormat::Logfmt,
            "json" => LogFormat::Json,
            other => return Err(format!("--log.format must be logfmt or json, not {other:?}")),
        },
        without_effect: WITHOUT_EFFECT
            .iter()
            .map(|(name, _)| *name)
            .filter(|name| matches.value_source(name) == Some(ValueSource::CommandLine))
            .collect(),
        values: shown(matches, &listen),
        config_file,
    })
}

fn receivers(matches: &ArgMatches) -> Result<Receivers, String> {
    const NAME: &str = "web.remote-write-receiver.accepted-protobuf-messages";
    let messages = texts(matches, NAME);
    let mut receivers = Receivers {
        write: matches.get_flag("web.enable-remote-write-receiver"),
        write_v1: messages.is_empty(),
        write_v2: messages.is_empty(),
        otlp: matches.get_flag("web.enable-otlp-receiver"),
        push: matches.get_flag("web.enable-push-receiver"),
    };
    for message in &messages {
        match message.as_str() {
            "prometheus.WriteRequest" => receivers.write_v1 = true,
            "io.prometheus.write.v2.Request" => receivers.write_v2 = true,
            other => return Err(format!("--{NAME}: unknown message {other:?}")),
        }
    }
    Ok(receivers)
}

fn log_level(text: &str) -> Result<Level, String> {
    match text {
        "debug" => Ok(Level::DEBUG),
        "info" => Ok(Level::INFO),
        "warn" => Ok(Level::WARN),
        "error" => Ok(Level::ERROR),
        other => Err(format!("--log.level must be debug, info, warn or error, not {other:?}")),
    }
}

/// An address as upstream writes it: without a host, all of them.
fn address(text: &str) -> Result<SocketAddr, String> {
    let full = match text.strip_prefix(':') {
        Some(port) => format!("[::]:{port}"),
        None => text.replace("localhost:", "127.0.0.1:"),
    };
    full.parse().map_err(|_| format!("--web.listen-address: {text:?} is no address and port"))
}

fn external_host(url: &str) -> Result<Option<String>, String> {
    if url.is_empty() {
        return Ok(None);
    }
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or("");
    if host.is_empty() {
        return Err(format!("--web.external-url: {url:?} is no URL"));
    }
    Ok(Some(host.to_owned()))
}

/// The path below which everything is: as given, else the URL's.
fn route_prefix(given: &str, url: &str) -> Result<String, String> {
    let path = match given {
        "" => url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |r| r.1),
        given => given,
    };
    let path = path.trim_matches('/');
    if path.contains(['{', '}', '*', '?', '#']) {
        return Err(format!("--web.route-prefix: {path:?} is no plain path"));
    }
    Ok(if path.is_empty() { String::new() } else { format!("/{path}") })
}

fn shown(matches: &ArgMatches, listen: &[String]) -> Vec<(String, String)> {
    let value_of = |flag: &Flag| match flag.form {
        Form::Switch(_) => matches.get_flag(flag.name).to_string(),
        Form::Values(_) if flag.name == "web.listen-address" => listen.join(","),
        Form::Values(_) => texts(matches, flag.name).join(","),
        Form::Value(_) => text(matches, flag.name),
        Form::Unsupported(_) => String::new(),
    };
    let done = FLAGS.iter().filter(|flag| !matches!(flag.form, Form::Unsupported(_)));
    done.map(|flag| (flag.name.to_owned(), value_of(flag))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arguments: &[&str]) -> Result<Flags, String> {
        let line = std::iter::once("cresset").chain(arguments.iter().copied());
        match parse(line.map(str::to_owned)) {
            Ok(Task::Run(flags)) => Ok(*flags),
            Ok(Task::ConfigSchema | Task::Doctor { .. } | Task::Tsdb(_) | Task::Tool(_)) => {
                Err("check".to_owned())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    #[track_caller]
    fn check_refused(arguments: &[&str], part: &str) {
        let error = run(arguments).expect_err("refused");
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn defaults_are_upstreams_but_for_the_address() {
        let flags = run(&[]).unwrap();
        assert_eq!(flags.listen, ["127.0.0.1:9090".parse().unwrap()]);
        assert_eq!((flags.retention_ms, flags.query_timeout_ms), (None, 120_000));
        let flags = run(&["--storage.tsdb.retention.size=1GB"]).unwrap();
        assert_eq!(flags.retention_bytes, Some(1 << 30));
        let flags = run(&["--config.file", "a.yml"]).unwrap();
        assert_eq!(flags.listen, ["0.0.0.0:9090".parse().unwrap()]);
    }

    #[test]
    fn both_forms_of_a_flag_are_read() {
        let flags = run(&["--storage.tsdb.path=x", "--web.listen-address", ":0", "--io=epoll"]);
        let flags = flags.unwrap();
        assert_eq!(flags.directory, PathBuf::from("x"));
        assert_eq!(flags.listen, ["[::]:0".parse().unwrap()]);
        assert_eq!(flags.io, IoChoice::Epoll);
        assert!(run(&["--web.enable-lifecycle"]).unwrap().lifecycle);
        assert!(!run(&["--no-web.enable-lifecycle"]).unwrap().lifecycle);
        assert_eq!(run(&["--config.auto-reload"]).unwrap().auto_reload_ms, Some(30_000));
        assert_eq!(run(&[]).unwrap().auto_reload_ms, None);
        assert!(run(&["--config.auto-reload-interval=1ms"]).is_err());
    }

    #[test]
    fn wrong_flags_are_refused_with_a_hint() {
        check_refused(&["--config.fil=x"], "--config.file");
        check_refused(&["--query.timeout=1x"], "not a valid duration string");
        check_refused(&["--query.max-samples=0"], "must be a count above 0");
        check_refused(&["--agent"], "an agent forwards by remote_write");
    }

    #[test]
    fn a_unit_file_of_prometheus_starts_it() {
        let flags = run(&[
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/var/lib/prometheus/metrics2/",
            "--web.console.libraries=/etc/prometheus/console_libraries",
            "--web.console.templates",
            "/etc/prometheus/consoles",
            "--storage.tsdb.wal-compression",
            "--no-storage.tsdb.no-lockfile",
            "--rules.alert.resend-delay=1m",
            "--web.external-url=https://example.org/prom/",
            "--web.config.file=web.yml",
        ]);
        let flags = flags.expect("accepted");
        assert_eq!(flags.without_effect.len(), 4);
        assert_eq!(flags.route_prefix, "/prom");
        assert_eq!(flags.web_config_file, Some(PathBuf::from("web.yml")));
        assert_eq!(run(&["--web.route-prefix=/"]).unwrap().route_prefix, "");
        check_refused(&["--web.route-prefix=/{x}"], "is no plain path");
        check_refused(&["--storage.tsdb.wal-compresion"], "--storage.tsdb.wal-compression");
    }

    #[test]
    fn features_are_listed_or_repeated_and_never_refused() {
        let flags = run(&["--enable-feature=a,b", "--enable-feature=promql-per-step-stats"]);
        assert_eq!(flags.unwrap().features, ["a", "b", "promql-per-step-stats"]);
    }

    #[test]
    fn the_command_line_holds_together() {
        command().debug_assert();
    }

    #[test]
    fn files_to_check_are_a_task_of_their_own() {
        let line = ["cresset", "check", "config", "a.yml", "b.yml"].map(str::to_owned);
        let Ok(Task::Tool(ToolTask::CheckConfig(options))) = parse(line) else { panic!("check") };
        assert_eq!(options.files.len(), 2);
        let line = ["cresset", "query", "instant", "-o", "json", "http://a", "-1"];
        let Ok(Task::Tool(ToolTask::Query(options))) = parse(line.map(str::to_owned)) else {
            panic!("query")
        };
        assert_eq!(options.form, crate::tool_arguments::Form::Json);
        let line = ["cresset", "config", "schema"].map(str::to_owned);
        assert!(matches!(parse(line), Ok(Task::ConfigSchema)));
    }
}
