//! Settings that Prometheus does not have.

use crate::config::field::{Table, yes};

/// `cresset`
pub static CRESSET: Table = Table {
    title: "cresset",
    type_name: "cresset",
    doc: "Settings of this server. All but `retention`, `limits` and `textfile_directory` need a \
          restart.",
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
            "retention",
            "list of cresset.retention",
            "[]",
            "How long which series are kept at which resolution. The first entry of a resolution \
             that matches a series counts; one that none matches is kept raw for the retention of \
             storage.tsdb.",
        ),
        yes("limits", "cresset.limits", "", "How much anybody may have; more is refused."),
        yes(
            "cores",
            "cresset.cores",
            "by the machine",
            "Which processors do what. The plan stands in the log, in `cresset doctor` and in \
             cresset_core_role.",
        ),
        yes(
            "pacing",
            "cresset.pacing",
            "",
            "How far compaction and commits give way to a machine that strains.",
        ),
        yes(
            "textfile_directory",
            "text",
            "",
            "Files NAME.prom in it, as node_exporter's textfile collector reads them, are shown at \
             /metrics/host. A relative path starts at the file's directory.",
        ),
        yes(
            "kernel_collectors",
            "list of text",
            "[sched, block, tcp, irq, mm, fs]",
            "What is counted in the kernel where it lets us; sys too: failed system calls, which \
             costs every system call of the machine about 80 ns.",
        ),
    ]],
};

/// `cresset.cores`
pub static CORES: Table = Table {
    title: "cresset.cores",
    type_name: "cresset.cores",
    doc: "Processors as the kernel lists them: `0-3,8`. What is left out is planned: by cores and \
          their siblings, memory nodes, and which cores take the interrupts.",
    parts: &[&[
        yes("shards", "text", "by the machine", "Those of the shards, one each in turn."),
        yes("service", "text", "by the machine", "Those of the log, queries and all else."),
    ]],
};

/// `cresset.pacing`
pub static PACING: Table = Table {
    title: "cresset.pacing",
    type_name: "cresset.pacing",
    doc: "Bounds within which compaction's rate and the age of commits follow what commits, the \
          disk, run queues and interrupts take. Equal bounds leave nothing to choose.",
    parts: &[&[
        yes(
            "compaction_rate_min",
            "size",
            "4MiB",
            "Bytes a second that compaction may always move; at least 1MiB.",
        ),
        yes("compaction_rate_max", "size", "1GiB", "Bytes a second at most; up to 16GiB."),
        yes(
            "commit_age_max",
            "duration",
            "100ms",
            "How long a commit gathers rows at most while the disk is slow, 10ms to 1s: the most \
             that a power cut may take. On a calm disk it is 10ms.",
        ),
    ]],
};

/// One of `cresset.retention`
pub static TIER: Table = Table {
    title: "cresset.retention",
    type_name: "cresset.retention",
    doc: "Series, a resolution and how long they are kept at it.",
    parts: &[&[
        yes("match", "text", "", "Which series: a selector; every one where it is left out."),
        yes("resolution", "raw, 5m or 1h", "raw", "What is kept."),
        yes("keep", "duration", "", "For how long."),
    ]],
};

/// `cresset.limits`
pub static LIMITS: Table = Table {
    title: "cresset.limits",
    type_name: "cresset.limits",
    doc: "What is given for jobs, tenants and the head is for all shards together and dealt to \
          those that need it, anew every half second.",
    parts: &[&[
        yes("head_bytes", "size", "0", "Memory of the newest samples; 0 is no limit."),
        yes("target", "cresset.limits.owner", "", "What one target may have."),
        yes("job", "cresset.limits.owner", "", "What all targets of a job may have."),
        yes("tenant", "cresset.limits.owner", "", "What all groups of a tenant may have."),
    ]],
};

/// `cresset.limits.target` and its like
pub static OWNER_LIMIT: Table = Table {
    title: "cresset.limits.owner",
    type_name: "cresset.limits.owner",
    doc: "",
    parts: &[&[
        yes("series", "count", "0", "Series; 0 is no limit."),
        yes("bytes", "size", "0", "Bytes of memory; 0 is no limit."),
    ]],
};
