//! Arguments: the command lines of `cresset tsdb`, near those of `promtool tsdb`.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use model::duration::parse_duration_ms;
use model::time::TimestampMs;

/// What promtool calls the directory where none is named.
const DEFAULT_DIRECTORY: &str = "data/";
/// Matches every series.
const MATCH_ALL: &str = "{__name__=~'(?s:.*)'}";

/// What is asked of `cresset tsdb`.
#[derive(Clone, Debug)]
pub enum TsdbTask {
    /// Shows blocks.
    List(ListOptions),
    /// Shows what takes space and churns in a block.
    Analyze(AnalyzeOptions),
    /// Writes samples as text.
    Dump(DumpOptions),
    /// Makes blocks of Prometheus from OpenMetrics.
    Backfill(BackfillOptions),
    /// Makes blocks of Prometheus from any data directory.
    Export(ExportOptions),
    /// Takes a data directory of Prometheus over.
    Import(ImportOptions),
    /// Looks at every byte.
    Verify(VerifyOptions),
    /// Copies a data directory.
    Snapshot(SnapshotOptions),
}

/// `list`
#[derive(Clone, Debug)]
pub struct ListOptions {
    /// Data directory.
    pub directory: PathBuf,
    /// Times and sizes for people.
    pub human: bool,
    /// JSON instead of a table.
    pub json: bool,
}

/// `analyze`
#[derive(Clone, Debug)]
pub struct AnalyzeOptions {
    /// Data directory.
    pub directory: PathBuf,
    /// Block; the newest where none is named.
    pub block: Option<String>,
    /// Lines of each table.
    pub limit: usize,
    /// Selector of the series that count.
    pub selector: Option<String>,
    /// How large chunks are, too.
    pub extended: bool,
    /// JSON instead of text.
    pub json: bool,
}

/// Form of a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpForm {
    /// `{labels} value milliseconds`
    Lines,
    /// OpenMetrics text: what `create-blocks-from openmetrics` reads.
    OpenMetrics,
    /// A JSON object a series.
    Json,
    /// The labels of each series as JSON.
    SeriesJson,
}

/// `dump` and `dump-openmetrics`
#[derive(Clone, Debug)]
pub struct DumpOptions {
    /// Data directory.
    pub directory: PathBuf,
    /// First and last time.
    pub range: (TimestampMs, TimestampMs),
    /// Selectors; a series counts that fulfils any.
    pub selectors: Vec<String>,
    /// How it is written.
    pub form: DumpForm,
}

/// `create-blocks-from openmetrics`
#[derive(Clone, Debug)]
pub struct BackfillOptions {
    /// OpenMetrics text; `-` is standard input.
    pub input: PathBuf,
    /// Where blocks go.
    pub output: PathBuf,
    /// Times and sizes for people.
    pub human: bool,
    /// Blocks that were made are not shown.
    pub quiet: bool,
    /// Longest block, milliseconds.
    pub block_ms_max: i64,
    /// Labels that every series gets.
    pub labels: Vec<(String, String)>,
}

/// `export`
#[derive(Clone, Debug)]
pub struct ExportOptions {
    /// Data directory.
    pub directory: PathBuf,
    /// Where blocks go.
    pub output: PathBuf,
    /// First and last time.
    pub range: (TimestampMs, TimestampMs),
    /// Selectors; a series counts that fulfils any.
    pub selectors: Vec<String>,
    /// Longest block, milliseconds.
    pub block_ms_max: i64,
}

/// `import`
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Prometheus's data directory.
    pub source: PathBuf,
    /// Ours.
    pub directory: PathBuf,
    /// Retention that the server will have, milliseconds, to warn of what it would delete.
    pub retention_ms: i64,
}

/// `verify`
#[derive(Clone, Debug)]
pub struct VerifyOptions {
    /// Data directory.
    pub directory: PathBuf,
    /// JSON instead of lines.
    pub json: bool,
}

/// `snapshot`
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// Data directory.
    pub directory: PathBuf,
    /// Where the copy goes.
    pub output: PathBuf,
}

/// `cresset tsdb` for clap.
#[must_use]
pub fn command() -> Command {
    Command::new("tsdb")
        .about(
            "Look into data directories, ours and Prometheus's; take them over and give them back",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("list")
                .about("List blocks")
                .arg(directory())
                .arg(flag("human-readable", Some('r'), "Print times and sizes for people."))
                .arg(flag("json", None, "Print JSON.")),
        )
        .subcommand(
            Command::new("analyze")
                .about("Say what churns and what has the most values in a block")
                .arg(directory())
                .arg(Arg::new("block").value_name("BLOCK").help("Its name; default the newest."))
                .arg(value("limit", "COUNT", "20", "Lines of each table."))
                .arg(value("match", "SELECTOR", "", "Series that count."))
                .arg(flag("extended", None, "Read all chunks too, and say how large they are."))
                .arg(flag("json", None, "Print JSON.")),
        )
        .subcommand(ranged(Command::new("dump").about("Write samples as text"), directory()).arg(
            value(
                "format",
                "prom|json|seriesjson",
                "prom",
                "Lines of labels, value and milliseconds; a JSON object a series; its labels.",
            ),
        ))
        .subcommand(ranged(
            Command::new("dump-openmetrics")
                .about("Write float samples as OpenMetrics text, for create-blocks-from"),
            directory(),
        ))
        .subcommand(
            Command::new("create-blocks-from")
                .about("Make blocks of Prometheus")
                .subcommand_required(true)
                .subcommand(backfill()),
        )
        .subcommand(
            ranged(
                Command::new("export")
                    .about("Make blocks of Prometheus of all samples: the way back"),
                named_directory(),
            )
            .arg(output().required(true))
            .arg(block_duration("24h")),
        )
        .subcommand(import())
        .subcommand(
            Command::new("verify")
                .about("Read every byte and check it; exit code 1 when something is damaged")
                .arg(directory())
                .arg(flag("json", None, "Print JSON.")),
        )
        .subcommand(
            Command::new("snapshot")
                .about("Copy a data directory, with links where files never change")
                .arg(named_directory())
                .arg(output().required(true)),
        )
}

fn import() -> Command {
    Command::new("import")
        .about("Take over a data directory of Prometheus: blocks, log and head")
        .long_about(
            "Reads blocks, log, head chunks and late samples of a data directory of Prometheus and \
             makes blocks of them in ours. Stop Prometheus first. The source is not changed. A run \
             that was interrupted goes on where it was; one that is done is not done again.",
        )
        .arg(Arg::new("source").value_name("DIR").required(true).help("Prometheus's."))
        .arg(value("storage.tsdb.path", "DIR", DEFAULT_DIRECTORY, "Ours."))
        .arg(value(
            "storage.tsdb.retention.time",
            "DURATION",
            "15d",
            "What the server will be told; to warn of what it would delete.",
        ))
}

fn backfill() -> Command {
    Command::new("openmetrics")
        .about("Make blocks of OpenMetrics text with timestamps")
        .arg(Arg::new("input").value_name("FILE").required(true).help("`-` is standard input."))
        .arg(output().default_value(DEFAULT_DIRECTORY))
        .arg(flag("human-readable", Some('r'), "Print times and sizes for people."))
        .arg(flag("quiet", Some('q'), "Do not print the blocks made."))
        .arg(block_duration("2h"))
        .arg(
            Arg::new("label")
                .long("label")
                .value_name("NAME=VALUE")
                .action(ArgAction::Append)
                .help("Label that every series gets; may be repeated."),
        )
}

fn ranged(command: Command, directory: Arg) -> Command {
    let time = |name, doc| {
        Arg::new(name).long(name).value_name("MS").allow_negative_numbers(true).help(doc)
    };
    command
        .arg(directory)
        .arg(time("min-time", "First time, milliseconds since the epoch."))
        .arg(time("max-time", "Last time, milliseconds since the epoch."))
        .arg(
            Arg::new("match")
                .long("match")
                .value_name("SELECTOR")
                .action(ArgAction::Append)
                .help("Series that count; may be repeated."),
        )
}

fn directory() -> Arg {
    Arg::new("directory").value_name("DIR").default_value(DEFAULT_DIRECTORY).help("Data directory.")
}

/// Where two directories are named, none is left out.
fn named_directory() -> Arg {
    Arg::new("directory").value_name("DIR").required(true).help("Data directory.")
}

fn output() -> Arg {
    Arg::new("output").value_name("OUTPUT").help("Directory that it goes to.")
}

fn block_duration(default: &'static str) -> Arg {
    value("max-block-duration", "DURATION", default, "Longest block: 2h, 6h, 18h and so on.")
}

fn flag(name: &'static str, short: Option<char>, doc: &'static str) -> Arg {
    let arg = Arg::new(name).long(name).action(ArgAction::SetTrue).help(doc);
    match short {
        Some(short) => arg.short(short),
        None => arg,
    }
}

fn value(name: &'static str, shown: &'static str, default: &'static str, doc: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(shown).default_value(default).help(doc)
}

/// Reads what clap matched.
///
/// # Errors
/// A value that is none, in words.
pub fn task(matches: &ArgMatches) -> Result<TsdbTask, String> {
    let (name, matches) = matches.subcommand().ok_or("a subcommand is required")?;
    Ok(match name {
        "list" => TsdbTask::List(ListOptions {
            directory: path(matches, "directory"),
            human: matches.get_flag("human-readable"),
            json: matches.get_flag("json"),
        }),
        "analyze" => TsdbTask::Analyze(AnalyzeOptions {
            directory: path(matches, "directory"),
            block: matches.get_one::<String>("block").cloned(),
            limit: text(matches, "limit").parse().map_err(|_| "--limit is no count")?,
            selector: Some(text(matches, "match")).filter(|text| !text.is_empty()),
            extended: matches.get_flag("extended"),
            json: matches.get_flag("json"),
        }),
        "dump" => TsdbTask::Dump(dump(matches, dump_form(&text(matches, "format"))?)?),
        "dump-openmetrics" => TsdbTask::Dump(dump(matches, DumpForm::OpenMetrics)?),
        "create-blocks-from" => {
            let (_, matches) = matches.subcommand().ok_or("a subcommand is required")?;
            TsdbTask::Backfill(backfill_options(matches)?)
        }
        "export" => {
            let dump = dump(matches, DumpForm::Lines)?;
            TsdbTask::Export(ExportOptions {
                directory: dump.directory,
                output: path(matches, "output"),
                range: dump.range,
                selectors: dump.selectors,
                block_ms_max: duration(matches, "max-block-duration")?,
            })
        }
        "import" => TsdbTask::Import(ImportOptions {
            source: path(matches, "source"),
            directory: path(matches, "storage.tsdb.path"),
            retention_ms: duration(matches, "storage.tsdb.retention.time")?,
        }),
        "verify" => TsdbTask::Verify(VerifyOptions {
            directory: path(matches, "directory"),
            json: matches.get_flag("json"),
        }),
        _ => TsdbTask::Snapshot(SnapshotOptions {
            directory: path(matches, "directory"),
            output: path(matches, "output"),
        }),
    })
}

fn dump_form(text: &str) -> Result<DumpForm, String> {
    match text {
        "prom" => Ok(DumpForm::Lines),
        "json" => Ok(DumpForm::Json),
        "seriesjson" => Ok(DumpForm::SeriesJson),
        other => Err(format!("--format must be prom, json or seriesjson, not {other:?}")),
    }
}

fn dump(matches: &ArgMatches, form: DumpForm) -> Result<DumpOptions, String> {
    let time = |name: &str, default: TimestampMs| match matches.get_one::<String>(name) {
        None => Ok(default),
        Some(text) => {
            let ms = text.parse::<i64>().map(TimestampMs);
            ms.map_err(|_| format!("--{name} must be milliseconds, not {text:?}"))
        }
    };
    let mut selectors: Vec<String> =
        matches.get_many::<String>("match").into_iter().flatten().cloned().collect();
    if selectors.is_empty() {
        selectors.push(MATCH_ALL.to_owned());
    }
    Ok(DumpOptions {
        directory: path(matches, "directory"),
        range: (time("min-time", TimestampMs::MIN)?, time("max-time", TimestampMs::MAX)?),
        selectors,
        form,
    })
}

fn backfill_options(matches: &ArgMatches) -> Result<BackfillOptions, String> {
    let labels = matches.get_many::<String>("label").into_iter().flatten().map(|label| {
        let (name, value) = label.split_once('=').ok_or("--label must be NAME=VALUE")?;
        Ok((name.to_owned(), value.to_owned()))
    });
    Ok(BackfillOptions {
        input: path(matches, "input"),
        output: path(matches, "output"),
        human: matches.get_flag("human-readable"),
        quiet: matches.get_flag("quiet"),
        block_ms_max: duration(matches, "max-block-duration")?,
        labels: labels.collect::<Result<_, String>>()?,
    })
}

fn text(matches: &ArgMatches, name: &str) -> String {
    matches.get_one::<String>(name).cloned().unwrap_or_default()
}

fn path(matches: &ArgMatches, name: &str) -> PathBuf {
    PathBuf::from(text(matches, name))
}

fn duration(matches: &ArgMatches, name: &str) -> Result<i64, String> {
    match parse_duration_ms(&text(matches, name)) {
        Ok(ms) if 0 < ms => Ok(ms),
        Ok(_) => Err(format!("--{name} must be greater than 0")),
        Err(error) => Err(format!("--{name}: {error}")),
    }
}
