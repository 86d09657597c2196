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
    discovery("dns_sd_configs"),
    discovery("docker_sd_configs"),
    discovery("dockerswarm_sd_configs"),
    discovery("ec2_sd_configs"),
    discovery("eureka_sd_configs"),
    discovery("file_sd_configs"),
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
