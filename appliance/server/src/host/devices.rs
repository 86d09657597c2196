//! Devices: disks and network interfaces.
//!
//! Source: the kernel's Documentation/admin-guide/iostats.rst; node_exporter's collectors.

use std::path::Path;

use exposition::metrics::Collected;

use crate::host::lines::{LINES_MAX, number, read};

const SECTOR_BYTES: f64 = 512.0;
const MS_PER_SECOND: f64 = 1000.0;
const MEGABIT_BYTES: f64 = 125_000.0;

/// Columns of `/proc/diskstats` after the name: metric, help, factor; "" is not shown.
const DISK: [(&str, &str, f64); 17] = [
    ("node_disk_reads_completed_total", "The total number of reads completed successfully.", 1.0),
    ("node_disk_reads_merged_total", "The total number of reads merged.", 1.0),
    ("node_disk_read_bytes_total", "The total number of bytes read successfully.", SECTOR_BYTES),
    (
        "node_disk_read_time_seconds_total",
        "The total number of seconds spent by all reads.",
        1.0 / MS_PER_SECOND,
    ),
    ("node_disk_writes_completed_total", "The total number of writes completed successfully.", 1.0),
    ("node_disk_writes_merged_total", "The number of writes merged.", 1.0),
    (
        "node_disk_written_bytes_total",
        "The total number of bytes written successfully.",
        SECTOR_BYTES,
    ),
    (
        "node_disk_write_time_seconds_total",
        "This is the total number of seconds spent by all writes.",
        1.0 / MS_PER_SECOND,
    ),
    (IO_NOW, "The number of I/Os currently in progress.", 1.0),
    ("node_disk_io_time_seconds_total", "Total seconds spent doing I/Os.", 1.0 / MS_PER_SECOND),
    (
        "node_disk_io_time_weighted_seconds_total",
        "The weighted # of seconds spent doing I/Os.",
        1.0 / MS_PER_SECOND,
    ),
    (
        "node_disk_discards_completed_total",
        "The total number of discards completed successfully.",
        1.0,
    ),
    ("node_disk_discards_merged_total", "The total number of discards merged.", 1.0),
    (
        "node_disk_discarded_sectors_total",
        "The total number of sectors discarded successfully.",
        1.0,
    ),
    (
        "node_disk_discard_time_seconds_total",
        "This is the total number of seconds spent by all discards.",
        1.0 / MS_PER_SECOND,
    ),
    (
        "node_disk_flush_requests_total",
        "The total number of flush requests completed successfully",
        1.0,
    ),
    (
        "node_disk_flush_requests_time_seconds_total",
        "This is the total number of seconds spent by all flush requests.",
        1.0 / MS_PER_SECOND,
    ),
];
const IO_NOW: &str = "node_disk_io_now";

/// Columns of `/proc/net/dev` after the name.
const NETWORK: [(&str, &str); 16] = [
    ("node_network_receive_bytes_total", "Network device statistic receive_bytes."),
    ("node_network_receive_packets_total", "Network device statistic receive_packets."),
    ("node_network_receive_errs_total", "Network device statistic receive_errs."),
    ("node_network_receive_drop_total", "Network device statistic receive_drop."),
    ("node_network_receive_fifo_total", "Network device statistic receive_fifo."),
    ("node_network_receive_frame_total", "Network device statistic receive_frame."),
    ("node_network_receive_compressed_total", "Network device statistic receive_compressed."),
    ("node_network_receive_multicast_total", "Network device statistic receive_multicast."),
    ("node_network_transmit_bytes_total", "Network device statistic transmit_bytes."),
    ("node_network_transmit_packets_total", "Network device statistic transmit_packets."),
    ("node_network_transmit_errs_total", "Network device statistic transmit_errs."),
    ("node_network_transmit_drop_total", "Network device statistic transmit_drop."),
    ("node_network_transmit_fifo_total", "Network device statistic transmit_fifo."),
    ("node_network_transmit_colls_total", "Network device statistic transmit_colls."),
    ("node_network_transmit_carrier_total", "Network device statistic transmit_carrier."),
    ("node_network_transmit_compressed_total", "Network device statistic transmit_compressed."),
];

/// `/proc/diskstats`: whole disks, no partitions.
pub fn disks(text: &str, into: &mut Collected) {
    for line in text.lines().take(LINES_MAX) {
        let mut words = line.split_ascii_whitespace();
        let (major, minor) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Some(device) = words.next().filter(|device| is_disk(device)) else { continue };
        let help = "Info of /sys/block/<block_device>.";
        let labels = [("device", device), ("major", major), ("minor", minor)];
        into.gauge("node_disk_info", help, &labels, 1.0);
        for ((name, help, factor), word) in DISK.iter().zip(words) {
            let Some(value) = number(Some(word)) else { continue };
            let labels = [("device", device)];
            if *name == IO_NOW {
                into.gauge(name, help, &labels, value * factor);
            } else {
                into.counter(name, help, &labels, value * factor);
            }
        }
    }
}

/// Whether `device` is one that node_exporter shows: no RAM disk, loop, floppy or partition.
fn is_disk(device: &str) -> bool {
    let stem = device.trim_end_matches(|c: char| c.is_ascii_digit());
    if stem.len() == device.len() {
        return true;
    }
    let is_letter = |name: &str| name.len() == 1 && name.bytes().all(|b| b.is_ascii_lowercase());
    let of_kind = |prefix: &str| stem.strip_prefix(prefix).is_some_and(is_letter);
    let is_partition = ["hd", "sd", "vd", "xvd"].into_iter().any(of_kind);
    let is_nvme_partition = device.starts_with("nvme") && stem.ends_with('p');
    let is_pseudo = matches!(stem, "ram" | "zram" | "loop" | "fd");
    !is_partition && !is_nvme_partition && !is_pseudo
}

/// `/proc/net/dev`, and whether each interface is up.
pub fn network(text: &str, sys: &Path, into: &mut Collected) {
    for line in text.lines().take(LINES_MAX) {
        let Some((device, rest)) = line.split_once(':') else { continue };
        let labels = [("device", device.trim())];
        for ((name, help), word) in NETWORK.iter().zip(rest.split_ascii_whitespace()) {
            if let Some(value) = number(Some(word)) {
                into.counter(name, help, &labels, value);
            }
        }
        if let Some(state) = read(sys, &format!("class/net/{}/operstate", device.trim())) {
            let up = if state.trim() == "up" { 1.0 } else { 0.0 };
            let help = "Value is 1 if operstate is 'up', 0 otherwise.";
            into.gauge("node_network_up", help, &labels, up);
        }
        let property = |file: &str| {
            let text = read(sys, &format!("class/net/{}/{file}", device.trim()));
            number(text.as_deref().map(str::trim))
        };
        if let Some(bytes) = property("mtu") {
            into.gauge("node_network_mtu_bytes", "Largest packet.", &labels, bytes);
        }
        if let Some(megabits) = property("speed") {
            let bytes = megabits * MEGABIT_BYTES;
            into.gauge("node_network_speed_bytes", "Speed of the interface.", &labels, bytes);
        }
        if let Some(carrier) = property("carrier") {
            into.gauge("node_network_carrier", "Whether there is a link.", &labels, carrier);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_whole() {
        for device in ["sda", "nvme0n1", "dm-0", "md127", "vdb", "mmcblk0"] {
            assert!(is_disk(device), "{device}");
        }
        for device in ["sda1", "nvme0n1p2", "vdb10", "loop3", "ram0", "xvda1"] {
            assert!(!is_disk(device), "{device}");
        }
    }

    #[test]
    fn columns_become_metrics() {
        let mut collected = Collected::default();
        disks("   8  0 sda 10 0 4 1500 1 2 3\n 8 1 sda1 1\nshort\n", &mut collected);
        let text = collected.to_text();
        assert!(text.contains("node_disk_read_bytes_total{device=\"sda\"} 2048\n"), "{text}");
        assert!(text.contains("node_disk_read_time_seconds_total{device=\"sda\"} 1.5\n"), "{text}");
        assert!(!text.contains("sda1"), "{text}");
        let mut collected = Collected::default();
        let table = "Inter-|   Receive\n face |bytes\n  eth0: 5 6 0 0 0 0 0 0 7 8\n";
        network(table, Path::new("/nonexistent"), &mut collected);
        let text = collected.to_text();
        assert!(text.contains("node_network_transmit_bytes_total{device=\"eth0\"} 7\n"), "{text}");
    }
}
