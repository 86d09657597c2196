//! Discovery: the `*_sd_configs` of a job as mechanisms.
//!
//! Source: `UnmarshalYAML` of the configurations in Prometheus's `discovery` packages.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use discovery::consul::ConsulOptions;
use discovery::dns::DnsOptions;
use discovery::dns::message::Kind as RecordKind;
use discovery::docker::{DockerOptions, Engine};
use discovery::dockerswarm::{SwarmOptions, SwarmRole};
use discovery::file::{FileOptions, is_file_pattern};
use discovery::http::HttpSdOptions;
use discovery::mechanism::Mechanism;
use discovery::nomad::NomadOptions;
use discovery::puppetdb::PuppetDbOptions;
use model::label_name::quote;
use scrape::http_options::{Authorization, Secret, Text};

use crate::config::fault::Fault;
use crate::config::field::Table;
use crate::config::fields::discovery::{
    CONSUL, DNS, DOCKER, DOCKERSWARM, FILE, HTTP_SD, KUBERNETES, NOMAD, PUPPETDB, SD_FILTER,
};
use crate::config::http_config;
use crate::config::kubernetes;
use crate::config::section::{Findings, Section, scalar_text};
use crate::config::tree::Kind;
use crate::config::url;

/// Where the system says which name servers it asks.
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// The mechanisms that a job names, in the order of their names.
pub fn mechanisms(job: &Section<'_>, directory: &Path, findings: &mut Findings) -> Vec<Mechanism> {
    let mut mechanisms = Vec::new();
    let mut read = |field, table, of: fn(&Section<'_>, &Path, &mut Findings) -> Mechanism| {
        for section in sections(job, field, table, findings) {
            mechanisms.push(of(&section, directory, findings));
        }
    };
    read("consul_sd_configs", &CONSUL, consul);
    read("dns_sd_configs", &DNS, dns);
    read("docker_sd_configs", &DOCKER, docker);
    read("dockerswarm_sd_configs", &DOCKERSWARM, dockerswarm);
    read("file_sd_configs", &FILE, file);
    read("http_sd_configs", &HTTP_SD, http);
    read("kubernetes_sd_configs", &KUBERNETES, kubernetes::read);
    read("nomad_sd_configs", &NOMAD, nomad);
    read("puppetdb_sd_configs", &PUPPETDB, puppetdb);
    mechanisms
}

fn sections<'a>(
    job: &Section<'a>,
    field: &'static str,
    table: &'static Table,
    findings: &mut Findings,
) -> Vec<Section<'a>> {
    let mut sections = Vec::new();
    for node in job.list(field, findings) {
        if matches!(node.kind, Kind::Null) {
            let text = format!("empty or null section in {field}");
            findings.push(Fault::wrong(node.place, text));
        } else {
            sections.push(Section::open(node, table, findings));
        }
    }
    sections
}

/// `refresh_interval`; upstream's library too takes 0 for what is not written.
fn refresh(section: &Section<'_>, default_s: u64, findings: &mut Findings) -> Duration {
    let written = section.duration_ms("refresh_interval", findings).filter(|ms| *ms != 0);
    written.map_or(Duration::from_secs(default_s), Duration::from_millis)
}

/// `port`
fn port(section: &Section<'_>, default: u16, findings: &mut Findings) -> u16 {
    let Some(port) = section.count("port", findings) else { return default };
    u16::try_from(port).unwrap_or_else(|_| {
        let text = format!("{port} is no port: the largest is 65535");
        findings.push(Fault::wrong(section.place_of("port"), text));
        default
    })
}

/// The text of a field, or what it is by default.
fn text(section: &Section<'_>, name: &str, default: &str, findings: &mut Findings) -> String {
    section.text(name, findings).unwrap_or(default).to_owned()
}

/// `url`: absolute, over http or https.
fn http_url(section: &Section<'_>, findings: &mut Findings) -> String {
    let written = text(section, "url", "", findings);
    let fault = match url::parts(&written) {
        _ if written.is_empty() => Some("URL is missing".to_owned()),
        Err(reason) => Some(reason),
        Ok(parts) if parts.scheme != "http" && parts.scheme != "https" => {
            Some("URL scheme must be 'http' or 'https'".to_owned())
        }
        Ok(parts) if parts.host.is_empty() => Some("host is missing in URL".to_owned()),
        Ok(_) => None,
    };
    if let Some(fault) = fault {
        findings.push(Fault::wrong(section.place_of("url"), fault));
    }
    written
}

fn http(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Mechanism {
    let url = http_url(section, findings);
    let refresh = refresh(section, 60, findings);
    let http = Arc::new(http_config::read(section, directory, findings));
    Mechanism::Http(HttpSdOptions { url, refresh, http })
}

fn puppetdb(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Mechanism {
    let url = http_url(section, findings);
    let query = text(section, "query", "", findings);
    if query.is_empty() {
        findings.push(Fault::wrong(section.place, "query missing"));
    }
    Mechanism::PuppetDb(PuppetDbOptions {
        url,
        query,
        include_parameters: section.boolean("include_parameters", findings).unwrap_or(false),
        port: port(section, 80, findings),
        refresh: refresh(section, 60, findings),
        http: Arc::new(http_config::read(section, directory, findings)),
    })
}

fn nomad(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Mechanism {
    let server = text(section, "server", "http://localhost:4646", findings);
    if server.trim().is_empty() {
        let fault = "nomad SD configuration requires a server address";
        findings.push(Fault::wrong(section.place, fault));
    }
    Mechanism::Nomad(Box::new(NomadOptions {
        allow_stale: section.boolean("allow_stale", findings).unwrap_or(true),
        namespace: text(section, "namespace", "default", findings),
        region: text(section, "region", "global", findings),
        server,
        tag_separator: text(section, "tag_separator", ",", findings),
        refresh: refresh(section, 60, findings),
        http: Arc::new(http_config::read(section, directory, findings)),
    }))
}

/// What the two mechanisms of Docker have in common.
fn engine(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Engine {
    let host = text(section, "host", "", findings);
    let scheme = host.split_once("://").map_or("", |(scheme, _)| scheme);
    if host.is_empty() {
        findings.push(Fault::wrong(section.place, "host missing"));
    } else if !["unix", "tcp", "http", "https"].contains(&scheme) {
        let fault = format!("unable to parse docker host {}", quote(&host));
        findings.push(Fault::wrong(section.place_of("host"), fault));
    }
    let mut filters = Vec::new();
    for filter in sections(section, "filters", &SD_FILTER, findings) {
        let name = text(&filter, "name", "", findings);
        filters.push((name, filter.texts("values", findings)));
    }
    Engine {
        host,
        filters,
        port: port(section, 80, findings),
        refresh: refresh(section, 60, findings),
        http: Arc::new(http_config::read(section, directory, findings)),
    }
}

fn docker(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Mechanism {
    Mechanism::Docker(DockerOptions {
        engine: engine(section, directory, findings),
        host_networking_host: text(section, "host_networking_host", "localhost", findings),
        match_first_network: section.boolean("match_first_network", findings).unwrap_or(true),
    })
}

fn dockerswarm(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Mechanism {
    let engine = engine(section, directory, findings);
    let written = text(section, "role", "", findings);
    let role = SwarmRole::find(&written);
    if role.is_none() {
        let fault = if written.is_empty() {
            "role missing (one of: tasks, services, nodes)".to_owned()
        } else {
            format!("invalid role {written}, expected tasks, services, or nodes")
        };
        findings.push(Fault::wrong(section.place_of("role"), fault));
    }
    Mechanism::DockerSwarm(SwarmOptions { engine, role: role.unwrap_or(SwarmRole::Nodes) })
}

fn consul(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Mechanism {
    let server = text(section, "server", "localhost:8500", findings);
    if server.trim().is_empty() {
        let fault = "consul SD configuration requires a server address";
        findings.push(Fault::wrong(section.place, fault));
    }
    let mut http = http_config::read(section, directory, findings);
    let username = text(section, "username", "", findings);
    let password = text(section, "password", "", findings);
    if !username.is_empty() || !password.is_empty() {
        if matches!(http.authorization, Some(Authorization::Basic { .. })) {
            let names = "consul SD configuration username and password and basic auth";
            let fault = format!("at most one of {names} can be configured");
            findings.push(Fault::wrong(section.place, fault));
        }
        let (username, password) = (Text::inline(&username), Text::inline(&password));
        http.authorization = Some(Authorization::Basic { username, password });
    }
    let token = text(section, "token", "", findings);
    let has_other = section.get("authorization").or(section.get("oauth2")).is_some();
    if !token.is_empty() && has_other {
        let fault = "at most one of consul SD token, authorization, or oauth2 can be configured";
        findings.push(Fault::wrong(section.place, fault));
    }
    let node_meta = section.map("node_meta", findings).into_iter().filter_map(|(key, value)| {
        Some((scalar_text(key)?.to_owned(), scalar_text(value)?.to_owned()))
    });
    Mechanism::Consul(Box::new(ConsulOptions {
        server,
        path_prefix: text(section, "path_prefix", "", findings),
        scheme: text(section, "scheme", "http", findings),
        token: Secret(token),
        datacenter: text(section, "datacenter", "", findings),
        namespace: text(section, "namespace", "", findings),
        partition: text(section, "partition", "", findings),
        tag_separator: text(section, "tag_separator", ",", findings),
        allow_stale: section.boolean("allow_stale", findings).unwrap_or(true),
        refresh: refresh(section, 30, findings),
        services: section.texts("services", findings),
        tags: section.texts("tags", findings),
        node_meta: node_meta.collect(),
        filter: text(section, "filter", "", findings),
        health_filter: text(section, "health_filter", "", findings),
        http: Arc::new(http),
    }))
}

fn dns(section: &Section<'_>, _directory: &Path, findings: &mut Findings) -> Mechanism {
    let names = section.texts("names", findings);
    if names.is_empty() {
        let text = "DNS-SD config must contain at least one SRV record name";
        findings.push(Fault::wrong(section.place, text));
    }
    let written = section.text("type", findings).unwrap_or("SRV");
    let kind = RecordKind::find(written);
    if kind.is_none() {
        let text = format!("invalid DNS-SD records type {written}");
        findings.push(Fault::wrong(section.place_of("type"), text));
    }
    let kind = kind.unwrap_or(RecordKind::Srv);
    let port = port(section, 0, findings);
    if kind != RecordKind::Srv && port == 0 {
        let text = "a port is required in DNS-SD configs for all record types except SRV";
        findings.push(Fault::wrong(section.place, text));
    }
    let refresh = refresh(section, 30, findings);
    Mechanism::Dns(DnsOptions { names, kind, port, refresh, system: PathBuf::from(RESOLV_CONF) })
}

fn file(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> Mechanism {
    let written = section.texts("files", findings);
    if written.is_empty() {
        let text = "file service discovery config must contain at least one path name";
        findings.push(Fault::wrong(section.place, text));
    }
    for path in written.iter().filter(|path| !is_file_pattern(path)) {
        let text = format!("path name {} is not valid for file discovery", quote(path));
        findings.push(Fault::wrong(section.place_of("files"), text));
    }
    let files = written.iter().map(|path| directory.join(path)).collect();
    Mechanism::File(FileOptions { files, refresh: refresh(section, 300, findings) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;

    /// The mechanisms of a job with these fields, or what is wrong with them.
    #[track_caller]
    fn check(fields: &str, expected: &str) {
        let text = format!("scrape_configs:\n- job_name: a\n  {fields}\n");
        let shown = match load(&text, Path::new("/etc/p.yml")) {
            Ok(config) => {
                let mechanisms = config.jobs[0].discovery.iter();
                mechanisms.map(|mechanism| format!("{mechanism:?}")).collect::<Vec<_>>().join("\n")
            }
            Err(error) => error.to_string(),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn files_lie_beside_the_configuration() {
        check(
            "file_sd_configs: [{files: [a.json, /b/*.yml]}]",
            r#"File(FileOptions { files: ["/etc/a.json", "/b/*.yml"], refresh: 300s })"#,
        );
        check(
            "file_sd_configs: [{files: [a.txt]}]",
            r#"/etc/p.yml:3:29: path name "a.txt" is not valid for file discovery"#,
        );
        check(
            "file_sd_configs: [{}]",
            "/etc/p.yml:3:21: file service discovery config must contain at least one path name",
        );
        check("file_sd_configs: [~]", "/etc/p.yml:3:21: empty or null section in file_sd_configs");
    }

    #[test]
    fn names_need_a_port_unless_their_records_have_one() {
        check(
            "dns_sd_configs: [{names: [x], refresh_interval: 10s}]",
            "Dns(DnsOptions { names: [\"x\"], kind: Srv, port: 0, refresh: 10s, \
             system: \"/etc/resolv.conf\" })",
        );
        check(
            "dns_sd_configs: [{names: [x], type: aaaa, port: 9100}]",
            "Dns(DnsOptions { names: [\"x\"], kind: Aaaa, port: 9100, refresh: 30s, \
             system: \"/etc/resolv.conf\" })",
        );
        check(
            "dns_sd_configs: [{names: [x], type: A}]",
            "/etc/p.yml:3:20: a port is required in DNS-SD configs for all record types except SRV",
        );
        check(
            "dns_sd_configs: [{names: [x], type: TXT, port: 1}]",
            "/etc/p.yml:3:39: invalid DNS-SD records type TXT",
        );
        check(
            "dns_sd_configs: [{type: SRV}]",
            "/etc/p.yml:3:20: DNS-SD config must contain at least one SRV record name",
        );
    }

    /// What is wrong with a mechanism of these fields.
    #[track_caller]
    fn fault(mechanism: &str, fields: &str, expected: &str) {
        let text = format!("scrape_configs:\n- job_name: a\n  {mechanism}: [{fields}]\n");
        let shown = load(&text, Path::new("p.yml")).map(|_| String::new());
        let shown = shown.unwrap_or_else(|error| error.to_string());
        assert!(shown.ends_with(expected), "{shown}");
    }

    #[test]
    fn what_upstream_refuses_is_refused_in_its_words() {
        fault("http_sd_configs", "{url: 'http://a/b'}", "");
        fault("http_sd_configs", "{}", "URL is missing");
        fault("http_sd_configs", "{url: 'ftp://a'}", "URL scheme must be 'http' or 'https'");
        fault("http_sd_configs", "{url: 'http://'}", "host is missing in URL");
        fault("puppetdb_sd_configs", "{url: 'http://a'}", "query missing");
        fault("nomad_sd_configs", "{server: ''}", "requires a server address");
        fault("docker_sd_configs", "{host: 'unix:///x'}", "");
        fault("docker_sd_configs", "{}", "host missing");
        fault("docker_sd_configs", "{host: x}", "unable to parse docker host \"x\"");
        let role = "role missing (one of: tasks, services, nodes)";
        fault("dockerswarm_sd_configs", "{host: 'tcp://x:1'}", role);
        let role = "invalid role x, expected tasks, services, or nodes";
        fault("dockerswarm_sd_configs", "{host: 'tcp://x:1', role: x}", role);
        fault("consul_sd_configs", "{token: t, tags: [a], node_meta: {a: b}}", "");
        fault("consul_sd_configs", "{server: ' '}", "requires a server address");
        let both = "{username: u, basic_auth: {username: a, password: b}}";
        let expected = "username and password and basic auth can be configured";
        fault("consul_sd_configs", both, expected);
        let both = "{token: u, authorization: {credentials: a}}";
        let expected = "consul SD token, authorization, or oauth2 can be configured";
        fault("consul_sd_configs", both, expected);
        let expected = "unsupported field ec2_sd_configs; remove it and list the targets in \
                        file_sd_configs or http_sd_configs";
        fault("ec2_sd_configs", "{region: x}", expected);
    }

    #[test]
    fn kubernetes_is_checked_as_upstream_does() {
        let fault = |fields, expected| fault("kubernetes_sd_configs", fields, expected);
        fault("{role: pod, attach_metadata: {node: true}}", "");
        fault("{role: pod, kubeconfig_file: k, namespaces: {names: [a]}}", "");
        fault("{api_server: 'https://a', role: pod, bearer_token: x}", "");
        fault("{}", "role missing (one of: pod, service, endpoints, endpointslice, node, ingress)");
        fault("{role: x}", "unknown Kubernetes SD role \"x\"");
        let both = "cannot use 'kubeconfig_file' and 'api_server' simultaneously";
        fault("{role: pod, kubeconfig_file: k, api_server: 'http://a'}", both);
        let own = "cannot use 'api_server' and 'namespaces.own_namespace' simultaneously";
        fault("{role: pod, api_server: 'http://a', namespaces: {own_namespace: true}}", own);
        let selectors = "service role supports only service selectors";
        fault("{role: service, selectors: [{role: pod, label: a=b}]}", selectors);
    }
}
