//! Network: counters of the protocols and sockets in use.
//!
//! Source: node_exporter's netstat and sockstat collectors; the same fields by default.

use std::collections::BTreeMap;

use exposition::metrics::Collected;

use crate::host::lines::{LINES_MAX, float, number};

/// Bytes of a page, in which the kernel counts socket memory.
const PAGE_BYTES: f64 = 4096.0;

/// Fields of `/proc/net/netstat`, `/proc/net/snmp` and `/proc/net/snmp6` that are shown.
const NETSTAT: [&str; 44] = [
    "node_netstat_Icmp6_InErrors",
    "node_netstat_Icmp6_InMsgs",
    "node_netstat_Icmp6_OutMsgs",
    "node_netstat_Icmp_InErrors",
    "node_netstat_Icmp_InMsgs",
    "node_netstat_Icmp_OutMsgs",
    "node_netstat_Ip6_InOctets",
    "node_netstat_Ip6_OutOctets",
    "node_netstat_IpExt_InOctets",
    "node_netstat_IpExt_OutOctets",
    "node_netstat_Ip_Forwarding",
    "node_netstat_TcpExt_ListenDrops",
    "node_netstat_TcpExt_ListenOverflows",
    "node_netstat_TcpExt_SyncookiesFailed",
    "node_netstat_TcpExt_SyncookiesRecv",
    "node_netstat_TcpExt_SyncookiesSent",
    "node_netstat_TcpExt_TCPOFOQueue",
    "node_netstat_TcpExt_TCPRcvQDrop",
    "node_netstat_TcpExt_TCPSynRetrans",
    "node_netstat_TcpExt_TCPTimeouts",
    "node_netstat_Tcp_ActiveOpens",
    "node_netstat_Tcp_CurrEstab",
    "node_netstat_Tcp_InErrs",
    "node_netstat_Tcp_InSegs",
    "node_netstat_Tcp_OutRsts",
    "node_netstat_Tcp_OutSegs",
    "node_netstat_Tcp_PassiveOpens",
    "node_netstat_Tcp_RetransSegs",
    "node_netstat_Udp6_InDatagrams",
    "node_netstat_Udp6_InErrors",
    "node_netstat_Udp6_NoPorts",
    "node_netstat_Udp6_OutDatagrams",
    "node_netstat_Udp6_RcvbufErrors",
    "node_netstat_Udp6_SndbufErrors",
    "node_netstat_UdpLite6_InErrors",
    "node_netstat_UdpLite_InErrors",
    "node_netstat_Udp_InDatagrams",
    "node_netstat_Udp_InErrors",
    "node_netstat_Udp_NoPorts",
    "node_netstat_Udp_OutDatagrams",
    "node_netstat_Udp_RcvbufErrors",
    "node_netstat_Udp_SndbufErrors",
    "node_netstat_Icmp6_OutErrors",
    "node_netstat_Icmp_OutErrors",
];

/// Fields of `/proc/net/sockstat` and `sockstat6`.
const SOCKSTAT: [&str; 18] = [
    "node_sockstat_FRAG6_inuse",
    "node_sockstat_FRAG6_memory",
    "node_sockstat_FRAG_inuse",
    "node_sockstat_FRAG_memory",
    "node_sockstat_RAW6_inuse",
    "node_sockstat_RAW_inuse",
    "node_sockstat_TCP6_inuse",
    "node_sockstat_TCP_alloc",
    "node_sockstat_TCP_inuse",
    "node_sockstat_TCP_mem",
    "node_sockstat_TCP_orphan",
    "node_sockstat_TCP_tw",
    "node_sockstat_UDP6_inuse",
    "node_sockstat_UDPLITE6_inuse",
    "node_sockstat_UDPLITE_inuse",
    "node_sockstat_UDP_inuse",
    "node_sockstat_UDP_mem",
    "node_sockstat_sockets_used",
];

/// Those of the memory of sockets in bytes, and the field in pages that they come from.
const SOCKET_BYTES: [(&str, &str); 2] =
    [("node_sockstat_TCP_mem_bytes", "TCP_mem"), ("node_sockstat_UDP_mem_bytes", "UDP_mem")];

/// `/proc/net/netstat` and `/proc/net/snmp` (lines in pairs: names, then values), `/proc/net/snmp6`
/// (a name and a value a line).
pub fn netstat(paired: &[String], snmp6: Option<&str>, into: &mut Collected) {
    let mut found = BTreeMap::new();
    for text in paired {
        let lines: Vec<&str> = text.lines().take(LINES_MAX).collect();
        for pair in lines.chunks_exact(2) {
            let (Some((protocol, names)), Some((_, values))) =
                (pair[0].split_once(':'), pair[1].split_once(':'))
            else {
                continue;
            };
            let fields = names.split_ascii_whitespace().zip(values.split_ascii_whitespace());
            for (name, value) in fields {
                found.insert(format!("{protocol}_{name}"), value);
            }
        }
    }
    for line in snmp6.unwrap_or_default().lines().take(LINES_MAX) {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        // `Ip6InOctets` is the field `InOctets` of `Ip6`.
        if let Some(at) = name.find('6') {
            found.insert(format!("{}_{}", &name[..=at], &name[at + 1..]), value);
        }
    }
    for name in NETSTAT {
        let field = name.trim_start_matches("node_netstat_");
        if let Some(value) = number(found.get(field).copied()) {
            into.untyped(name, "Counter of a network protocol.", &[], value);
        }
    }
}

/// `/proc/net/softnet_stat`: a line a processor, hexadecimal; the thirteenth column is its number
/// where the kernel writes it.
pub fn softnet(text: &str, into: &mut Collected) {
    const COLUMNS: [(usize, &str, &str); 3] = [
        (0, "node_softnet_processed_total", "Number of processed packets"),
        (1, "node_softnet_dropped_total", "Number of dropped packets"),
        (
            2,
            "node_softnet_times_squeezed_total",
            "Number of times processing packets ran out of quota",
        ),
    ];
    for (row, line) in text.lines().take(LINES_MAX).enumerate() {
        let words: Vec<u64> = line
            .split_ascii_whitespace()
            .map_while(|word| u64::from_str_radix(word, 16).ok())
            .collect();
        let cpu = words.get(12).copied().unwrap_or(row as u64).to_string();
        for (column, name, help) in COLUMNS {
            if let Some(value) = words.get(column) {
                into.counter(name, help, &[("cpu", &cpu)], float(*value));
            }
        }
    }
}

/// `/proc/net/arp`: neighbours by interface.
pub fn arp(text: &str, into: &mut Collected) {
    for line in text.lines().skip(1).take(LINES_MAX) {
        if let Some(device) = line.split_ascii_whitespace().nth(5) {
            let help = "ARP entries by device";
            into.gauge("node_arp_entries", help, &[("device", device)], 1.0);
        }
    }
}

/// `/proc/net/sockstat` and `/proc/net/sockstat6`
pub fn sockstat(texts: &[String], into: &mut Collected) {
    let mut found = BTreeMap::new();
    for line in texts.iter().flat_map(|text| text.lines().take(LINES_MAX)) {
        let Some((protocol, fields)) = line.split_once(':') else { continue };
        let words: Vec<&str> = fields.split_ascii_whitespace().collect();
        for pair in words.chunks_exact(2) {
            found.insert(format!("{protocol}_{}", pair[0]), pair[1]);
        }
    }
    let value = |field: &str| number(found.get(field).copied());
    for name in SOCKSTAT {
        if let Some(value) = value(name.trim_start_matches("node_sockstat_")) {
            into.gauge(name, "Number of sockets in a state.", &[], value);
        }
    }
    for (name, field) in SOCKET_BYTES {
        if let Some(pages) = value(field) {
            into.gauge(name, "Memory of sockets in bytes.", &[], pages * PAGE_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_lines_become_counters() {
        let netstat_text = "TcpExt: SyncookiesSent ListenDrops\nTcpExt: 3 4\n".to_owned();
        let snmp = "Tcp: RtoMin CurrEstab\nTcp: 200 7\nbroken\n".to_owned();
        let mut into = Collected::default();
        netstat(&[netstat_text, snmp], Some("Ip6InOctets  \t 99\nUdp6\n"), &mut into);
        let text = into.to_text();
        for line in [
            "node_netstat_TcpExt_ListenDrops 4\n",
            "node_netstat_Tcp_CurrEstab 7\n",
            "node_netstat_Ip6_InOctets 99\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("RtoMin"));
    }

    #[test]
    fn packets_and_neighbours_are_counted() {
        let mut into = Collected::default();
        softnet("0000000a 00000001 00000002 0 0 0 0 0 0 0 0 0 00000003\n00000005 x\n", &mut into);
        arp(
            "IP address HW\n10.0.0.1 0x1 0x2 aa * eth0\n10.0.0.2 0x1 0x2 bb * eth0\nbad\n",
            &mut into,
        );
        let text = into.to_text();
        for line in [
            "node_softnet_processed_total{cpu=\"3\"} 10\n",
            "node_softnet_times_squeezed_total{cpu=\"3\"} 2\n",
            "node_softnet_processed_total{cpu=\"1\"} 5\n",
            "node_arp_entries{device=\"eth0\"} 2\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn sockets_are_counted_and_their_pages_are_bytes() {
        let mut into = Collected::default();
        let text = "sockets: used 12\nTCP: inuse 5 orphan 0 tw 1 alloc 6 mem 2\n".to_owned();
        sockstat(&[text, "TCP6: inuse 3\n".to_owned()], &mut into);
        let text = into.to_text();
        for line in [
            "node_sockstat_sockets_used 12\n",
            "node_sockstat_TCP_mem 2\n",
            "node_sockstat_TCP_mem_bytes 8192\n",
            "node_sockstat_TCP6_inuse 3\n",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }
}
