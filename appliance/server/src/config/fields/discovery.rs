//! Where targets come from: the `*_sd_configs` and `static_configs`.

use crate::config::field::{Field, Table, no, yes};

const NO_DISCOVERY: &str = "remove it and list the targets in static_configs";

const fn discovery(name: &'static str) -> Field {
    no(name, "list of anything", NO_DISCOVERY)
}

/// Fields that name where targets come from.
pub const DISCOVERY: &[Field] = &[
    discovery("aws_sd_configs"),
    discovery("azure_sd_configs"),
    discovery("consul_sd_configs"),
    discovery("digitalocean_sd_configs"),
    yes("dns_sd_configs", "list of dns_sd", "[]", "Targets named by DNS records."),
    discovery("docker_sd_configs"),
    discovery("dockerswarm_sd_configs"),
    discovery("ec2_sd_configs"),
    discovery("eureka_sd_configs"),
    yes("file_sd_configs", "list of file_sd", "[]", "Targets listed in files."),
    discovery("gce_sd_configs"),
    discovery("hetzner_sd_configs"),
    discovery("http_sd_configs"),
    discovery("ionos_sd_configs"),
    discovery("kubernetes_sd_configs"),
    discovery("kuma_sd_configs"),
    discovery("lightsail_sd_configs"),
    discovery("linode_sd_configs"),
    discovery("marathon_sd_configs"),
    discovery("nerve_sd_configs"),
    discovery("nomad_sd_configs"),
    discovery("oci_sd_configs"),
    discovery("openstack_sd_configs"),
    discovery("outscale_sd_configs"),
    discovery("ovhcloud_sd_configs"),
    discovery("puppetdb_sd_configs"),
    discovery("scaleway_sd_configs"),
    discovery("serverset_sd_configs"),
    discovery("stackit_sd_configs"),
    discovery("triton_sd_configs"),
    discovery("uyuni_sd_configs"),
    discovery("vultr_sd_configs"),
];

/// One of `static_configs`
pub static STATIC: Table = Table {
    title: "static config",
    type_name: "struct",
    doc: "Targets written out.",
    parts: &[&[
        yes("targets", "list of address", "[]", "Host and port of each target."),
        yes("labels", "labels", "{}", "Labels of all of them."),
    ]],
};

/// One of `dns_sd_configs`
pub static DNS: Table = Table {
    title: "dns_sd",
    type_name: "dns.plain",
    doc: "Targets named by DNS records; the servers are those of /etc/resolv.conf.",
    parts: &[&[
        yes("names", "list of name", "", "Names that are looked up."),
        yes("type", "word", "SRV", "Kind of records: SRV, A, AAAA, MX or NS."),
        yes("port", "count", "", "Port of targets whose records name none."),
        yes("refresh_interval", "duration", "30s", "Time between lookups."),
    ]],
};

/// One of `file_sd_configs`
pub static FILE: Table = Table {
    title: "file_sd",
    type_name: "file.plain",
    doc: "Targets listed in files, which are read again as soon as they change.",
    parts: &[&[
        yes(
            "files",
            "list of path",
            "",
            "Files that end in .json, .yml or .yaml; the last part of each may hold `*`.",
        ),
        yes("refresh_interval", "duration", "5m", "Time after which they are read anyway."),
    ]],
};
