//! Settings that Prometheus does not have.

use crate::config::field::{Table, yes};

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
            "list of text",
            "[sched, block, tcp, irq, mm, fs]",
            "What is counted in the kernel where it lets us; sys too: failed system calls, which \
             costs every system call of the machine about 80 ns.",
        ),
    ]],
};
