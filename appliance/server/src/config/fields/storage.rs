//! What is kept, and for how long.

use crate::config::field::{Field, Support, Table, only, yes};

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
        yes(
            "out_of_order_time_window",
            "duration",
            "0s",
            "How far behind the newest of its target a sample may come; 0 refuses those that are \
             out of order.",
        ),
        only(
            "stale_series_compaction_threshold",
            "number",
            &["0", "0.0"],
            "0",
            "remove it: stale series leave memory by themselves",
        ),
        Field {
            name: "chunk_encoding",
            form: "storage.tsdb.chunk_encoding",
            default: "",
            support: Support::Notice(
                "storage.tsdb.chunk_encoding has no effect: chunks have a form of their own",
            ),
            doc: "",
        },
    ]],
};

/// `storage.tsdb.retention`
pub static RETENTION: Table = Table {
    title: "storage.tsdb.retention",
    type_name: "config.plain",
    doc: "",
    parts: &[&[
        yes("time", "duration", "15d", "How long samples are kept; wins over the flag."),
        yes(
            "size",
            "size",
            "0",
            "Bytes of samples on the disk, without the log; the oldest go. Wins over the flag; 0 \
             is no bound.",
        ),
        yes(
            "percentage",
            "number",
            "0",
            "The same as a share of the disk, 0 to 100. Where both are given, the smaller counts.",
        ),
    ]],
};

/// `storage.tsdb.chunk_encoding`
pub static CHUNK_ENCODING: Table = Table {
    title: "storage.tsdb.chunk_encoding",
    type_name: "config.ChunkEncodingConfig",
    doc: "",
    parts: &[&[yes("floats", "text", "", "xor or xor2.")]],
};
