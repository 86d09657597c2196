//! Where targets come from: the `*_sd_configs` and `static_configs`.

use crate::config::field::{Field, Table, no, yes};
use crate::config::fields::http::HTTP;

const NO_DISCOVERY: &str = "remove it and list the targets in file_sd_configs or http_sd_configs";

const fn discovery(name: &'static str) -> Field {
    no(name, "list of anything", NO_DISCOVERY)
}

/// Fields that name where targets come from.
pub const DISCOVERY: &[Field] = &[
    discovery("aws_sd_configs"),
    discovery("azure_sd_configs"),
    yes("consul_sd_configs", "list of consul_sd", "[]", "Services that Consul knows."),
    discovery("digitalocean_sd_configs"),
    yes("dns_sd_configs", "list of dns_sd", "[]", "Targets named by DNS records."),
    yes("docker_sd_configs", "list of docker_sd", "[]", "Containers of a Docker engine."),
    yes(
        "dockerswarm_sd_configs",
        "list of dockerswarm_sd",
        "[]",
        "Services, tasks or nodes of a Docker swarm.",
    ),
    discovery("ec2_sd_configs"),
    discovery("eureka_sd_configs"),
    yes("file_sd_configs", "list of file_sd", "[]", "Targets listed in files."),
    discovery("gce_sd_configs"),
    discovery("hetzner_sd_configs"),
    yes("http_sd_configs", "list of http_sd", "[]", "Targets that a URL lists."),
    discovery("ionos_sd_configs"),
    yes("kubernetes_sd_configs", "list of kubernetes_sd", "[]", "Objects of a Kubernetes cluster."),
    discovery("kuma_sd_configs"),
    discovery("lightsail_sd_configs"),
    discovery("linode_sd_configs"),
    discovery("marathon_sd_configs"),
    discovery("nerve_sd_configs"),
    yes("nomad_sd_configs", "list of nomad_sd", "[]", "Services that Nomad knows."),
    discovery("oci_sd_configs"),
    discovery("openstack_sd_configs"),
    discovery("outscale_sd_configs"),
    discovery("ovhcloud_sd_configs"),
    yes("puppetdb_sd_configs", "list of puppetdb_sd", "[]", "Resources that PuppetDB knows."),
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

const REFRESH: Field = yes("refresh_interval", "duration", "1m", "Time between questions.");
const PORT: Field = yes("port", "count", "80", "Port of targets that name none.");

/// One of `http_sd_configs`
pub static HTTP_SD: Table = Table {
    title: "http_sd",
    type_name: "http.plain",
    doc: "Targets that a URL lists as JSON, in the form of file_sd.",
    parts: &[&[yes("url", "URL", "", "What is asked."), REFRESH], HTTP],
};

/// One of `puppetdb_sd_configs`
pub static PUPPETDB: Table = Table {
    title: "puppetdb_sd",
    type_name: "puppetdb.plain",
    doc: "Resources that a query of PuppetDB names.",
    parts: &[
        &[
            yes("url", "URL", "", "The server."),
            yes("query", "text", "", "The query, in PQL."),
            yes(
                "include_parameters",
                "boolean",
                "false",
                "Whether parameters become labels; they may hold secrets.",
            ),
            PORT,
            REFRESH,
        ],
        HTTP,
    ],
};

/// One of `nomad_sd_configs`
pub static NOMAD: Table = Table {
    title: "nomad_sd",
    type_name: "nomad.plain",
    doc: "Services that Nomad knows.",
    parts: &[
        &[
            yes("server", "URL", "http://localhost:4646", "The server."),
            yes("namespace", "text", "default", "Namespace; `*` is all."),
            yes("region", "text", "global", "Region."),
            yes("tag_separator", "text", ",", "What stands between tags."),
            yes("allow_stale", "boolean", "true", "Whether any server may answer."),
            REFRESH,
        ],
        HTTP,
    ],
};

const ENGINE: &[Field] = &[
    yes("host", "URL", "", "The engine: unix://, tcp://, http:// or https://."),
    yes("filters", "list of sd_filter", "[]", "What the engine leaves out of its answer."),
    PORT,
    REFRESH,
];

/// One of `docker_sd_configs`
pub static DOCKER: Table = Table {
    title: "docker_sd",
    type_name: "moby.plain",
    doc: "Containers of a Docker engine.",
    parts: &[
        ENGINE,
        &[
            yes(
                "host_networking_host",
                "host",
                "localhost",
                "Address of containers in the network of their host.",
            ),
            yes(
                "match_first_network",
                "boolean",
                "true",
                "Whether only the first network of a container counts.",
            ),
        ],
        HTTP,
    ],
};

/// One of `dockerswarm_sd_configs`
pub static DOCKERSWARM: Table = Table {
    title: "dockerswarm_sd",
    type_name: "moby.plain",
    doc: "Services, tasks or nodes of a Docker swarm, by one of its managers.",
    parts: &[ENGINE, &[yes("role", "role", "", "services, tasks or nodes.")], HTTP],
};

/// One of `filters`
pub static SD_FILTER: Table = Table {
    title: "sd_filter",
    type_name: "moby.Filter",
    doc: "A filter of a Docker engine.",
    parts: &[&[
        yes("name", "name", "", "Its name."),
        yes("values", "list of text", "", "Its values."),
    ]],
};

/// One of `consul_sd_configs`
pub static CONSUL: Table = Table {
    title: "consul_sd",
    type_name: "consul.plain",
    doc: "Services that Consul knows; it tells of changes as they come.",
    parts: &[
        &[
            yes("server", "host", "localhost:8500", "The agent."),
            yes("path_prefix", "path", "", "What stands before its paths."),
            yes("scheme", "word", "http", "http or https."),
            yes("token", "secret", "", "Token that is sent with each question."),
            yes("datacenter", "text", "the agent's", "Datacenter."),
            yes("namespace", "text", "", "Namespace."),
            yes("partition", "text", "", "Admin partition."),
            yes("username", "text", "", "Old form of basic_auth.username."),
            yes("password", "secret", "", "Old form of basic_auth.password."),
            yes("services", "list of name", "all", "Services."),
            yes("tags", "list of text", "[]", "Tags that a service must have, all of them."),
            yes("node_meta", "labels", "{}", "Metadata that a node must have."),
            yes("filter", "text", "", "Filter of the catalog."),
            yes("health_filter", "text", "", "Filter of the instances."),
            yes("tag_separator", "text", ",", "What stands between tags."),
            yes("allow_stale", "boolean", "true", "Whether any server may answer."),
            yes("refresh_interval", "duration", "30s", "Least time between two answers."),
        ],
        HTTP,
    ],
};

/// One of `kubernetes_sd_configs`
pub static KUBERNETES: Table = Table {
    title: "kubernetes_sd",
    type_name: "kubernetes.plain",
    doc: "Objects of a Kubernetes cluster; it tells of changes as they come. Without api_server \
          and kubeconfig_file this process runs in a pod of the cluster.",
    parts: &[
        &[
            yes("role", "role", "", "node, service, pod, endpoints, endpointslice or ingress."),
            yes("api_server", "URL", "", "The API server."),
            yes("kubeconfig_file", "path", "", "File that says where it is and who we are."),
            yes("namespaces", "kubernetes_sd namespaces", "all", "Namespaces of the objects."),
            yes("selectors", "list of kubernetes_sd selector", "[]", "Which objects count."),
            yes("attach_metadata", "attach_metadata", "", "What is added to targets."),
        ],
        HTTP,
    ],
};

/// `namespaces` of kubernetes
pub static NAMESPACES: Table = Table {
    title: "kubernetes_sd namespaces",
    type_name: "kubernetes.plain",
    doc: "",
    parts: &[&[
        yes("own_namespace", "boolean", "false", "Whether that of our pod is one."),
        yes("names", "list of name", "[]", "Their names."),
    ]],
};

/// One of `selectors` of kubernetes
pub static SELECTOR: Table = Table {
    title: "kubernetes_sd selector",
    type_name: "kubernetes.SelectorConfig",
    doc: "",
    parts: &[&[
        yes("role", "role", "", "Which objects it is for."),
        yes("label", "text", "", "By labels, as kubectl takes it."),
        yes("field", "text", "", "By fields."),
    ]],
};

/// `attach_metadata` of kubernetes
pub static ATTACH: Table = Table {
    title: "attach_metadata",
    type_name: "kubernetes.AttachMetadataConfig",
    doc: "What is added to targets of kubernetes, each at the cost of another watch.",
    parts: &[&[
        yes("node", "boolean", "false", "Name, labels and annotations of the node."),
        yes("namespace", "boolean", "false", "Labels and annotations of the namespace."),
        yes("deployment", "boolean", "false", "Name of the deployment of pods."),
        yes("job", "boolean", "false", "Name of the job of pods."),
        yes("cronjob", "boolean", "false", "Name of the cron job of pods."),
    ]],
};
