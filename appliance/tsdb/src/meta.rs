//! Meta: `meta.json` of a block, with Thanos's section where there is one.

use std::fmt::Write;

use model::label_set::{Builder, LabelSet};
use model::time::TimestampMs;
use serde_json::Value;

use crate::fault::{Fault, TsdbError};
use crate::files::FileRead;

/// Name of the file below the block's directory.
pub const META_FILE: &str = "meta.json";
/// Most bytes of a `meta.json`; thousands of parents fit.
const META_BYTES_MAX: u64 = 16 * 1024 * 1024;
const META_VERSION: u64 = 1;

/// What a block says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BlockMeta {
    /// Name of the block and its directory.
    pub ulid: String,
    /// No sample is earlier.
    pub min: TimestampMs,
    /// Every sample is earlier than this.
    pub max: TimestampMs,
    /// What is in it.
    pub stats: BlockStats,
    /// How often it was merged; 1 is a block cut from a head.
    pub level: u64,
    /// The blocks from heads that are in it.
    pub sources: Vec<String>,
    /// The blocks it was merged from, which it stands for.
    pub parents: Vec<String>,
    /// What else the merge left to say.
    pub hints: Vec<String>,
    /// Thanos's section.
    pub thanos: Option<ThanosMeta>,
}

/// Counts of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlockStats {
    /// Samples.
    pub samples: u64,
    /// Floats among them; 0 where the writer did not tell.
    pub float_samples: u64,
    /// Histograms among them; 0 where the writer did not tell.
    pub histogram_samples: u64,
    /// Series.
    pub series: u64,
    /// Chunks.
    pub chunks: u64,
    /// Tombstones.
    pub tombstones: u64,
}

/// What Thanos says of a block.
#[derive(Clone, Debug, PartialEq)]
pub struct ThanosMeta {
    /// Labels that every series of the block has besides its own.
    pub labels: LabelSet,
    /// Window of the aggregates, 0 for raw samples.
    pub resolution_ms: i64,
    /// Which part of Thanos wrote it.
    pub source: String,
}

/// Reads `meta.json` in `directory`.
///
/// # Errors
/// The file is not there, too long, or not of the form.
pub fn read_meta(files: &dyn FileRead, directory: &str) -> Result<BlockMeta, TsdbError> {
    let file = format!("{directory}/{META_FILE}");
    let length = files.length(&file).map_err(|error| TsdbError::io("open", &file, error))?;
    let corrupt = |text: String| Fault::wrong(text).at(0).of(&file);
    if META_BYTES_MAX < length {
        return Err(corrupt(format!("has {length} bytes; at most {META_BYTES_MAX} are read")));
    }
    let mut bytes = vec![0; usize::try_from(length).expect("at most some megabytes")];
    files.read(&file, 0, &mut bytes).map_err(|error| TsdbError::io("read", &file, error))?;
    let json: Value =
        serde_json::from_slice(&bytes).map_err(|error| corrupt(format!("is no JSON: {error}")))?;
    meta_of(&json).map_err(|fault| fault.at(0).of(&file))
}

fn meta_of(json: &Value) -> Result<BlockMeta, Fault> {
    let version = json["version"].as_u64().unwrap_or(0);
    if version != META_VERSION {
        return Err(Fault::Version { what: "meta.json", found: version });
    }
    let time = |key: &str| {
        let time = json[key].as_i64().map(TimestampMs);
        time.ok_or_else(|| Fault::wrong(format!("{key} is no number")))
    };
    let ulid = json["ulid"].as_str().ok_or_else(|| Fault::wrong("ulid is no text"))?;
    let (min, max) = (time("minTime")?, time("maxTime")?);
    if max < min {
        return Err(Fault::wrong(format!("maxTime {max} is before minTime {min}")));
    }
    let count = |key: &str| json["stats"][key].as_u64().unwrap_or(0);
    let compaction = &json["compaction"];
    Ok(BlockMeta {
        ulid: ulid.to_owned(),
        min,
        max,
        stats: BlockStats {
            samples: count("numSamples"),
            float_samples: count("numFloatSamples"),
            histogram_samples: count("numHistogramSamples"),
            series: count("numSeries"),
            chunks: count("numChunks"),
            tombstones: count("numTombstones"),
        },
        level: compaction["level"].as_u64().unwrap_or(0),
        sources: texts(&compaction["sources"]),
        parents: parents_of(&compaction["parents"]),
        hints: texts(&compaction["hints"]),
        thanos: json.get("thanos").map(thanos_of),
    })
}

fn thanos_of(json: &Value) -> ThanosMeta {
    let mut labels = Builder::default();
    for (name, value) in json["labels"].as_object().into_iter().flatten() {
        labels.set(name, value.as_str().unwrap_or_default());
    }
    ThanosMeta {
        labels: labels.build(),
        resolution_ms: json["downsample"]["resolution"].as_i64().unwrap_or(0),
        source: json["source"].as_str().unwrap_or_default().to_owned(),
    }
}

fn parents_of(json: &Value) -> Vec<String> {
    let all = json.as_array().into_iter().flatten();
    all.filter_map(|parent| parent["ulid"].as_str()).map(str::to_owned).collect()
}

fn texts(json: &Value) -> Vec<String> {
    let all = json.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The text of a `meta.json`, laid out as upstream does. Parents and Thanos's section are not
/// written.
#[must_use]
pub fn meta_text(meta: &BlockMeta) -> String {
    let BlockStats { samples, float_samples, histogram_samples, series, chunks, tombstones } =
        meta.stats;
    let counts = [
        ("numSamples", samples),
        ("numFloatSamples", float_samples),
        ("numHistogramSamples", histogram_samples),
        ("numSeries", series),
        ("numChunks", chunks),
        ("numTombstones", tombstones),
    ];
    let stats: Vec<String> = counts
        .iter()
        .filter(|(_, count)| 0 < *count)
        .map(|(key, count)| format!("\n\t\t\"{key}\": {count}"))
        .collect();
    let list = |all: &[String]| {
        let quoted: Vec<String> =
            all.iter().map(|text| format!("\n\t\t\t{}", Value::from(text.as_str()))).collect();
        format!("[{}\n\t\t]", quoted.join(","))
    };
    let mut text = String::from("{\n");
    let ulid = Value::from(meta.ulid.as_str());
    let (min, max, level) = (meta.min, meta.max, meta.level);
    let head = format!("\t\"ulid\": {ulid},\n\t\"minTime\": {min},\n\t\"maxTime\": {max},\n");
    text.push_str(&head);
    write!(text, "\t\"stats\": {{{}\n\t}},\n", stats.join(",")).expect("a String takes it");
    write!(text, "\t\"compaction\": {{\n\t\t\"level\": {level}").expect("a String takes it");
    for (key, all) in [("sources", &meta.sources), ("hints", &meta.hints)] {
        if !all.is_empty() {
            write!(text, ",\n\t\t\"{key}\": {}", list(all)).expect("a String takes it");
        }
    }
    text.push_str("\n\t},\n\t\"version\": 1\n}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::MemoryFiles;

    #[test]
    fn what_is_written_reads_back() {
        let meta = BlockMeta {
            ulid: "01JWS713P2E4MQW7T643GYGD69".to_owned(),
            min: TimestampMs(-5),
            max: TimestampMs(1000),
            stats: BlockStats { samples: 3, series: 2, chunks: 1, ..BlockStats::default() },
            level: 1,
            sources: vec!["01JWS713P2E4MQW7T643GYGD69".to_owned()],
            parents: Vec::new(),
            hints: vec!["from-out-of-order".to_owned()],
            thanos: None,
        };
        let files = MemoryFiles::of(&[("b/meta.json", meta_text(&meta).as_bytes())]);
        assert_eq!(read_meta(&files, "b").expect("as written"), meta);
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let files = MemoryFiles::of(&[("b/meta.json", text.as_bytes())]);
        let error = read_meta(&files, "b").expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn broken_metas_are_refused_with_the_reason() {
        check_refused("", "b/meta.json, byte 0: is no JSON");
        check_refused("[]", "version 0 of meta.json is not known");
        check_refused(r#"{"version": 1, "ulid": "x", "minTime": 1}"#, "maxTime is no number");
        let turned = r#"{"version": 1, "ulid": "x", "minTime": 2, "maxTime": 1}"#;
        check_refused(turned, "maxTime 1 is before minTime 2");
    }
}
