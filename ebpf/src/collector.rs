//! Collector: one object of programs, and the hooks they want.

use aya::include_bytes_aligned;

/// A collector: loads as a whole, each program attaches or not by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collector {
    /// Run queue, CPU time of cgroups, processes.
    Sched,
    /// Block devices.
    Block,
    /// TCP and dropped packets.
    Tcp,
    /// Interrupts.
    Irq,
    /// Memory.
    Mm,
    /// File systems.
    Fs,
    /// Failed system calls; opt-in.
    Sys,
}

impl Collector {
    /// All but the one that has its price on every system call.
    pub const DEFAULT: [Collector; 6] = [
        Collector::Sched,
        Collector::Block,
        Collector::Tcp,
        Collector::Irq,
        Collector::Mm,
        Collector::Fs,
    ];

    /// Its name in metrics and settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Collector::Sched => "sched",
            Collector::Block => "block",
            Collector::Tcp => "tcp",
            Collector::Irq => "irq",
            Collector::Mm => "mm",
            Collector::Fs => "fs",
            Collector::Sys => "sys",
        }
    }

    /// The compiled programs.
    #[must_use]
    pub fn object(self) -> &'static [u8] {
        match self {
            Collector::Sched => include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sched.bpf.o")),
            Collector::Block => include_bytes_aligned!(concat!(env!("OUT_DIR"), "/block.bpf.o")),
            Collector::Tcp => include_bytes_aligned!(concat!(env!("OUT_DIR"), "/tcp.bpf.o")),
            Collector::Irq => include_bytes_aligned!(concat!(env!("OUT_DIR"), "/irq.bpf.o")),
            Collector::Mm => include_bytes_aligned!(concat!(env!("OUT_DIR"), "/mm.bpf.o")),
            Collector::Fs => include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fs.bpf.o")),
            Collector::Sys => include_bytes_aligned!(concat!(env!("OUT_DIR"), "/sys.bpf.o")),
        }
    }

    /// Its programs, each named as its tracepoint.
    #[must_use]
    pub fn programs(self) -> &'static [&'static str] {
        match self {
            Collector::Sched => &[
                "sched_wakeup",
                "sched_wakeup_new",
                "sched_switch",
                "sched_process_exec",
                "sched_process_exit",
            ],
            Collector::Block => &["block_rq_complete", "block_rq_error"],
            Collector::Tcp => &[
                "tcp_retransmit_skb",
                "tcp_retransmit_synack",
                "inet_sock_set_state",
                "tcp_send_reset",
                "tcp_receive_reset",
                "kfree_skb",
            ],
            Collector::Irq => {
                &["softirq_entry", "softirq_exit", "irq_handler_entry", "irq_handler_exit"]
            }
            Collector::Mm => &[
                "mark_victim",
                "mm_filemap_get_pages",
                "mm_filemap_add_to_page_cache",
                "mm_filemap_fault",
                "mm_vmscan_direct_reclaim_begin",
                "mm_vmscan_direct_reclaim_end",
                "mm_vmscan_memcg_reclaim_begin",
                "mm_vmscan_memcg_reclaim_end",
            ],
            Collector::Fs => &["ext4_sync_file_enter", "ext4_sync_file_exit"],
            Collector::Sys => &["sys_exit"],
        }
    }
}
