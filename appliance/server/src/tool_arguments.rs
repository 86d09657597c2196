//! Arguments: the command lines of `cresset check`, `query`, `promql`, `push` and `debug`, which
//! are those of promtool.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use model::duration::parse_duration_ms;
use model::matcher::MatchOp;
use query::parse::options::Options;

/// What is asked of the tools.
#[derive(Clone, Debug)]
pub enum ToolTask {
    /// Checks configuration files.
    CheckConfig(CheckConfigOptions),
    /// Checks files of `--web.config.file`.
    CheckWebConfig(Vec<PathBuf>),
    /// Checks rule files.
    CheckRules(Vec<PathBuf>, RuleLint),
    /// Judges an exposition on standard input.
    CheckMetrics {
        /// Whether the number of series is shown.
        extended: bool,
        /// Whether names and help are judged.
        lint: bool,
    },
    /// Finds the targets of a job.
    CheckDiscovery {
        /// The configuration.
        file: PathBuf,
        /// Which job.
        job: String,
        /// How long is waited, milliseconds.
        timeout_ms: u64,
    },
    /// Asks a server whether it is healthy or ready.
    CheckStatus(ServerOptions, &'static str),
    /// Asks a server for samples, series or labels.
    Query(QueryOptions),
    /// Looks at the buckets of histograms.
    Analyze(AnalyzeOptions),
    /// Rewrites an expression.
    Promql(String, Rewrite, Options),
    /// Sends samples by remote write.
    Push(PushOptions),
    /// Gathers what helps to find a fault.
    Debug(ServerOptions, DebugScope),
}

/// How rules are judged.
#[derive(Clone, Copy, Debug)]
pub struct RuleLint {
    /// Rules that give the same series are told.
    pub duplicates: bool,
    /// What is told makes the exit code 3.
    pub is_fatal: bool,
    /// Unknown fields are passed over.
    pub ignores_unknown: bool,
    /// What PromQL may have.
    pub promql: Options,
}

/// `check config`
#[derive(Clone, Debug)]
pub struct CheckConfigOptions {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Files that the configuration names are left alone.
    pub syntax_only: bool,
    /// What an agent may not have is refused.
    pub is_agent: bool,
    /// Intervals from here on are told, milliseconds.
    pub interval_ms_max: Option<u64>,
    /// How rules are judged.
    pub rules: RuleLint,
}

/// A server and how it is reached.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Its URL.
    pub url: String,
    /// `--http.config.file`
    pub http_config: Option<PathBuf>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A table or chart on a terminal, promtool's text elsewhere.
    Auto,
    /// promtool's text.
    Promql,
    /// JSON as the API gives it.
    Json,
    /// A table.
    Table,
    /// A chart of ranges, a table of anything else.
    Chart,
}

/// `query`
#[derive(Clone, Debug)]
pub struct QueryOptions {
    /// Whom to ask.
    pub server: ServerOptions,
    /// How it is written.
    pub form: Form,
    /// What is asked.
    pub question: Question,
    /// `--time` or `--start`
    pub start: Option<String>,
    /// `--end`
    pub end: Option<String>,
}

/// What is asked of a server.
#[derive(Clone, Debug)]
pub enum Question {
    /// The value of an expression at a time.
    Instant(String),
    /// The values of an expression over time, with the step in milliseconds.
    Range(String, Option<u64>),
    /// The series that match any of the selectors.
    Series(Vec<String>),
    /// The values of a label, of series that match any of the selectors.
    Labels(String, Vec<String>),
}

/// `query analyze`
#[derive(Clone, Debug)]
pub struct AnalyzeOptions {
    /// Whom to ask.
    pub server: ServerOptions,
    /// Must be `histogram`.
    pub kind: String,
    /// How far back, milliseconds.
    pub duration_ms: i64,
    /// `--time`
    pub time: Option<String>,
    /// Which series.
    pub selectors: Vec<String>,
}

/// What is made of an expression.
#[derive(Clone, Debug)]
pub enum Rewrite {
    /// The same, laid out.
    Format,
    /// A matcher in every selector.
    Set(String, MatchOp, String),
    /// No matcher of this label.
    Delete(String),
}

/// `push metrics`
#[derive(Clone, Debug)]
pub struct PushOptions {
    /// Whom to send to.
    pub server: ServerOptions,
    /// `--remote-write.path`, where it is given.
    pub path: Option<String>,
    /// Text exposition; standard input where none is named.
    pub files: Vec<PathBuf>,
    /// Labels that every series gets.
    pub labels: Vec<(String, String)>,
    /// Whether remote write 2.0 is spoken.
    pub is_second: bool,
    /// How long a request may take, milliseconds.
    pub timeout_ms: u64,
}

/// What `debug` gathers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DebugScope {
    /// What the server does.
    State,
    /// Its metrics.
    Metrics,
    /// Both.
    All,
}

/// The commands for clap.
#[must_use]
pub fn commands() -> [Command; 5] {
    [check(), query(), promql(), push(), debug()]
}

fn check() -> Command {
    let lint = |options: &'static str| value("lint", "LINT,...", "duplicate-rules", options);
    let rules = |command: Command, options| {
        command
            .arg(lint(options))
            .arg(flag("lint-fatal", "Make what lints tell exit with code 3."))
            .arg(flag("ignore-unknown-fields", "Pass over unknown fields of rule files."))
    };
    let config = Command::new("config")
        .about("Check configuration files; exit code 0 when all are valid")
        .arg(files("files", true))
        .arg(flag("syntax-only", "Leave files alone that the configuration names."))
        .arg(flag("agent", "Check for an agent, which has no rules, alerts and remote reads."));
    let config =
        rules(config, "all, duplicate-rules, too-long-scrape-interval, none: what is judged.");
    let checked_rules = Command::new("rules")
        .about("Check rule files, or standard input; exit code 0 when all are valid")
        .arg(files("files", false));
    Command::new("check")
        .about("Check files and servers")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(value("query.lookback-delta", "DURATION", "5m", "The server's.").global(true))
        .arg(features())
        .subcommand(config)
        .subcommand(
            Command::new("web-config")
                .about("Check files of --web.config.file; exit code 0 when all are valid")
                .arg(files("files", true)),
        )
        .subcommand(rules(checked_rules, "all, duplicate-rules, none: what is judged."))
        .subcommand(
            Command::new("metrics")
                .about(
                    "Judge text exposition on standard input; exit code 3 when there is something",
                )
                .arg(flag("extended", "Show how many series each metric has."))
                .arg(value("lint", "all|none", "all", "Whether names and help are judged.")),
        )
        .subcommand(
            Command::new("service-discovery")
                .about("Find the targets of a job and show what relabelling makes of them")
                .arg(Arg::new("file").value_name("FILE").required(true).help("Configuration."))
                .arg(Arg::new("job").value_name("JOB").required(true).help("Its name."))
                .arg(value("timeout", "DURATION", "30s", "How long is waited for targets.")),
        )
        .subcommand(
            on_url(Command::new("healthy").about("Say whether a server is healthy"))
                .arg(http_config(false)),
        )
        .subcommand(
            on_url(Command::new("ready").about("Say whether a server is ready"))
                .arg(http_config(false)),
        )
}

fn query() -> Command {
    let ranged = |command: Command| {
        command
            .arg(time("start", "First time, RFC 3339 or seconds since the epoch."))
            .arg(time("end", "Last time, RFC 3339 or seconds since the epoch."))
    };
    Command::new("query")
        .about("Ask a server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(
            value(
                "format",
                "auto|promql|json|table|chart",
                "auto",
                "How results are written. auto is a table or chart on a terminal, and promtool's \
                 text elsewhere.",
            )
            .short('o')
            .global(true),
        )
        .arg(http_config(true))
        .subcommand(
            Command::new("instant")
                .about("Evaluate an expression at a time")
                .arg(server())
                .arg(expression("expr"))
                .arg(time("time", "When, RFC 3339 or seconds since the epoch. Default is now."))
                .arg(header()),
        )
        .subcommand(
            ranged(Command::new("range").about("Evaluate an expression over a range of time"))
                .arg(server())
                .arg(expression("expr"))
                .arg(optional("step", "DURATION", "Default is a 250th of the range."))
                .arg(header()),
        )
        .subcommand(
            ranged(Command::new("series").about("List series"))
                .arg(server())
                .arg(selectors().required(true)),
        )
        .subcommand(
            ranged(Command::new("labels").about("List values of a label"))
                .arg(server())
                .arg(Arg::new("name").value_name("NAME").required(true).help("The label."))
                .arg(selectors()),
        )
        .subcommand(
            Command::new("analyze")
                .about("Say how many buckets of histograms are populated")
                .arg(optional("server", "URL", "Whom to ask.").required(true))
                .arg(optional("type", "TYPE", "histogram").required(true))
                .arg(value("duration", "DURATION", "1h", "How far back."))
                .arg(time("time", "When it ends, RFC 3339 or seconds since the epoch."))
                .arg(selectors().required(true)),
        )
}

fn promql() -> Command {
    let name = || Arg::new("name").value_name("NAME").required(true).help("The label.");
    Command::new("promql")
        .about("Lay out and edit expressions")
        .subcommand_required(true)
        .arg_required_else_help(true)
        // promtool asks for it.
        .arg(flag("experimental", "Has no effect.").hide(true).global(true))
        .arg(features())
        .subcommand(Command::new("format").about("Lay an expression out").arg(expression("query")))
        .subcommand(
            Command::new("label-matchers")
                .about("Edit the matchers of an expression")
                .subcommand_required(true)
                .subcommand(
                    Command::new("set")
                        .about("Set a matcher in every selector")
                        .arg(value("type", "=|!=|=~|!~", "=", "How it compares.").short('t'))
                        .arg(expression("query"))
                        .arg(name())
                        .arg(
                            Arg::new("value").value_name("VALUE").required(true).help("Its value."),
                        ),
                )
                .subcommand(
                    Command::new("delete")
                        .about("Delete the matchers of a label")
                        .arg(expression("query"))
                        .arg(name()),
                ),
        )
}

fn push() -> Command {
    let label = Arg::new("label")
        .long("label")
        .value_name("NAME=VALUE")
        .action(ArgAction::Append)
        .help("Label that every series gets; may be repeated. Default job=promtool.");
    Command::new("push")
        .about("Send to a server")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(http_config(true))
        .subcommand(
            Command::new("metrics")
                .about("Send text exposition by remote write")
                .arg(server())
                .arg(files("files", false))
                .arg(label)
                .arg(value("timeout", "DURATION", "30s", "How long a request may take."))
                .arg(header())
                .arg(value(
                    "protobuf_message",
                    "MESSAGE",
                    "prometheus.WriteRequest",
                    "prometheus.WriteRequest (1.0) or io.prometheus.write.v2.Request (2.0).",
                ))
                .arg(optional(
                    "remote-write.path",
                    "PATH",
                    "Path of the receiver. Default is /api/v1/write for a URL without path.",
                )),
        )
}

fn debug() -> Command {
    let of =
        |name: &'static str, about: &'static str| Command::new(name).about(about).arg(server());
    Command::new("debug")
        .about("Gather what helps to find a fault, in debug.tar.gz")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(http_config(true))
        .subcommand(of("pprof", "What the server is, has and does; there are no profiles of Go"))
        .subcommand(of("metrics", "Its metrics"))
        .subcommand(of("all", "Both"))
}

fn files(name: &'static str, required: bool) -> Arg {
    Arg::new(name).value_name("FILE").required(required).num_args(1..)
}

fn flag(name: &'static str, doc: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).help(doc)
}

fn value(name: &'static str, shown: &'static str, default: &'static str, doc: &'static str) -> Arg {
    optional(name, shown, doc).default_value(default)
}

fn optional(name: &'static str, shown: &'static str, doc: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(shown).help(doc)
}

fn time(name: &'static str, doc: &'static str) -> Arg {
    optional(name, "TIME", doc).allow_hyphen_values(true)
}

fn server() -> Arg {
    Arg::new("server").value_name("URL").required(true).help("The server.")
}

fn on_url(command: Command) -> Command {
    command.arg(value("url", "URL", "http://localhost:9090", "The server."))
}

fn expression(name: &'static str) -> Arg {
    Arg::new(name).value_name("EXPR").required(true).allow_hyphen_values(true).help("PromQL.")
}

fn selectors() -> Arg {
    optional("match", "SELECTOR", "Which series; may be repeated.").action(ArgAction::Append)
}

fn header() -> Arg {
    optional("header", "NAME=VALUE", "Further header; may be repeated.").action(ArgAction::Append)
}

fn http_config(global: bool) -> Arg {
    let doc = "How the server is reached: fields of http_config in YAML.";
    optional("http.config.file", "FILE", doc).global(global)
}

fn features() -> Arg {
    optional("enable-feature", "NAME,...", "Features of PromQL by upstream's names.")
        .action(ArgAction::Append)
        .global(true)
}

/// Reads what clap matched of the command `name`.
///
/// # Errors
/// A value that is none, in words.
pub fn task(name: &str, matches: &ArgMatches) -> Result<ToolTask, String> {
    let (sub, matches) = matches.subcommand().ok_or("a subcommand is required")?;
    match (name, sub) {
        ("check", sub) => check_task(sub, matches),
        ("query", "analyze") => Ok(ToolTask::Analyze(AnalyzeOptions {
            server: server_options(matches)?,
            kind: text(matches, "type"),
            duration_ms: i64::try_from(duration_ms(matches, "duration")?).unwrap_or(i64::MAX),
            time: given(matches, "time"),
            selectors: all(matches, "match"),
        })),
        ("query", sub) => query_task(sub, matches).map(ToolTask::Query),
        ("promql", "format") => {
            let options = promql_options(matches);
            Ok(ToolTask::Promql(text(matches, "query"), Rewrite::Format, options))
        }
        ("promql", _) => {
            let (sub, matches) = matches.subcommand().ok_or("a subcommand is required")?;
            let label = text(matches, "name");
            let rewrite = if sub == "set" {
                Rewrite::Set(label, match_op(&text(matches, "type"))?, text(matches, "value"))
            } else {
                Rewrite::Delete(label)
            };
            Ok(ToolTask::Promql(text(matches, "query"), rewrite, promql_options(matches)))
        }
        ("push", _) => push_task(matches).map(ToolTask::Push),
        (_, sub) => {
            let scope = match sub {
                "pprof" => DebugScope::State,
                "metrics" => DebugScope::Metrics,
                _ => DebugScope::All,
            };
            Ok(ToolTask::Debug(server_options(matches)?, scope))
        }
    }
}

fn check_task(sub: &str, matches: &ArgMatches) -> Result<ToolTask, String> {
    let files = || all(matches, "files").into_iter().map(PathBuf::from).collect::<Vec<_>>();
    Ok(match sub {
        "config" => {
            let (rules, long) = lints(matches);
            let lookback_ms = duration_ms(matches, "query.lookback-delta")?;
            ToolTask::CheckConfig(CheckConfigOptions {
                files: files(),
                syntax_only: matches.get_flag("syntax-only"),
                is_agent: matches.get_flag("agent"),
                interval_ms_max: long.then_some(lookback_ms),
                rules,
            })
        }
        "web-config" => ToolTask::CheckWebConfig(files()),
        "rules" => ToolTask::CheckRules(files(), lints(matches).0),
        "metrics" => {
            let lint = match text(matches, "lint").as_str() {
                "all" => true,
                "none" => false,
                other => return Err(format!("--lint must be all or none, not {other:?}")),
            };
            ToolTask::CheckMetrics { extended: matches.get_flag("extended"), lint }
        }
        "service-discovery" => ToolTask::CheckDiscovery {
            file: PathBuf::from(text(matches, "file")),
            job: text(matches, "job"),
            timeout_ms: duration_ms(matches, "timeout")?,
        },
        "healthy" => ToolTask::CheckStatus(server_options(matches)?, "/-/healthy"),
        _ => ToolTask::CheckStatus(server_options(matches)?, "/-/ready"),
    })
}

/// What is judged of rules, and whether intervals are.
fn lints(matches: &ArgMatches) -> (RuleLint, bool) {
    let chosen = text(matches, "lint");
    let (mut duplicates, mut long) = (false, false);
    for name in chosen.split(',') {
        match name {
            "all" => (duplicates, long) = (true, true),
            "duplicate-rules" => duplicates = true,
            "too-long-scrape-interval" => long = true,
            "none" | "" => {}
            other => println!("WARNING: unknown lint option: {other:?}"),
        }
    }
    if chosen.split(',').any(|name| name == "none") {
        (duplicates, long) = (false, false);
    }
    let lint = RuleLint {
        duplicates,
        is_fatal: matches.get_flag("lint-fatal"),
        ignores_unknown: matches.get_flag("ignore-unknown-fields"),
        promql: promql_options(matches),
    };
    (lint, long)
}

fn query_task(sub: &str, matches: &ArgMatches) -> Result<QueryOptions, String> {
    let form = match text(matches, "format").as_str() {
        "auto" => Form::Auto,
        "promql" => Form::Promql,
        "json" => Form::Json,
        "table" => Form::Table,
        "chart" => Form::Chart,
        other => {
            return Err(format!(
                "--format must be auto, promql, json, table or chart, not {other:?}"
            ));
        }
    };
    let (question, start) = match sub {
        "instant" => (Question::Instant(text(matches, "expr")), given(matches, "time")),
        "range" => {
            let step = given(matches, "step").map(|_| duration_ms(matches, "step")).transpose()?;
            (Question::Range(text(matches, "expr"), step), given(matches, "start"))
        }
        "series" => (Question::Series(all(matches, "match")), given(matches, "start")),
        _ => {
            let question = Question::Labels(text(matches, "name"), all(matches, "match"));
            (question, given(matches, "start"))
        }
    };
    let end = if sub == "instant" { None } else { given(matches, "end") };
    Ok(QueryOptions { server: server_options(matches)?, form, question, start, end })
}

fn push_task(matches: &ArgMatches) -> Result<PushOptions, String> {
    let message = text(matches, "protobuf_message");
    let is_second = match message.as_str() {
        "prometheus.WriteRequest" => false,
        "io.prometheus.write.v2.Request" => true,
        other => {
            return Err(format!(
                "invalid protobuf message {other:?}, must be prometheus.WriteRequest or \
                 io.prometheus.write.v2.Request"
            ));
        }
    };
    let mut labels = pairs(matches, "label")?;
    if labels.is_empty() {
        labels.push(("job".to_owned(), "promtool".to_owned()));
    }
    Ok(PushOptions {
        server: server_options(matches)?,
        path: given(matches, "remote-write.path"),
        files: all(matches, "files").into_iter().map(PathBuf::from).collect(),
        labels,
        is_second,
        timeout_ms: duration_ms(matches, "timeout")?,
    })
}

fn server_options(matches: &ArgMatches) -> Result<ServerOptions, String> {
    let url = given(matches, "server").or_else(|| given(matches, "url"));
    Ok(ServerOptions {
        url: url.unwrap_or_default(),
        http_config: given(matches, "http.config.file").map(PathBuf::from),
        headers: pairs(matches, "header")?,
    })
}

fn promql_options(matches: &ArgMatches) -> Options {
    let mut options = Options::STABLE;
    for name in all(matches, "enable-feature").iter().flat_map(|names| names.split(',')) {
        match name {
            "promql-experimental-functions" => options.experimental_functions = true,
            "promql-extended-range-selectors" => options.extended_range_selectors = true,
            "promql-binop-fill-modifiers" => options.binop_fill_modifiers = true,
            "" | "promql-delayed-name-removal" | "promql-duration-expr" => {}
            other => println!("  WARNING: Unknown feature passed to --enable-feature: {other}"),
        }
    }
    options
}

fn match_op(text: &str) -> Result<MatchOp, String> {
    match text {
        "=" => Ok(MatchOp::Equal),
        "!=" => Ok(MatchOp::NotEqual),
        "=~" => Ok(MatchOp::Regex),
        "!~" => Ok(MatchOp::NotRegex),
        other => Err(format!("--type must be =, !=, =~ or !~, not {other:?}")),
    }
}

/// The value of an argument, also where the command has none of this name.
fn given(matches: &ArgMatches, name: &str) -> Option<String> {
    matches.try_get_one::<String>(name).ok().flatten().cloned()
}

fn text(matches: &ArgMatches, name: &str) -> String {
    given(matches, name).unwrap_or_default()
}

fn all(matches: &ArgMatches, name: &str) -> Vec<String> {
    let values = matches.try_get_many::<String>(name).ok().flatten();
    values.into_iter().flatten().cloned().collect()
}

fn pairs(matches: &ArgMatches, name: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |text: String| match text.split_once(['=', ':']) {
        Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        None => Err(format!("--{name} must be NAME=VALUE, not {text:?}")),
    };
    all(matches, name).into_iter().map(pair).collect()
}

/// Milliseconds of a duration; a number without unit counts seconds.
fn duration_ms(matches: &ArgMatches, name: &str) -> Result<u64, String> {
    let text = text(matches, name);
    let nanos = api::timestamp::parse_duration_nanos(&text).ok();
    let ms = nanos.map(|nanos| nanos / 1_000_000).or_else(|| parse_duration_ms(&text).ok());
    match ms.map(u64::try_from) {
        Some(Ok(ms)) if 0 < ms => Ok(ms),
        _ => Err(format!("--{name} must be a duration above 0, not {text:?}")),
    }
}
