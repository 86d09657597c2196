//! Discovery: the `*_sd_configs` of a job as mechanisms.
//!
//! Source: `UnmarshalYAML` of the configurations in Prometheus's `discovery` packages.

use std::path::{Path, PathBuf};
use std::time::Duration;

use discovery::dns::DnsOptions;
use discovery::dns::message::Kind as RecordKind;
use discovery::file::{FileOptions, is_file_pattern};
use discovery::mechanism::Mechanism;
use model::label_name::quote;

use crate::config::fault::Fault;
use crate::config::field::Table;
use crate::config::fields::discovery::{DNS, FILE};
use crate::config::section::{Findings, Section};
use crate::config::tree::Kind;

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
    read("dns_sd_configs", &DNS, dns);
    read("file_sd_configs", &FILE, file);
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
    let port = section.count("port", findings).unwrap_or(0);
    if kind != RecordKind::Srv && port == 0 {
        let text = "a port is required in DNS-SD configs for all record types except SRV";
        findings.push(Fault::wrong(section.place, text));
    }
    let port = u16::try_from(port).unwrap_or_else(|_| {
        let text = format!("{port} is no port: the largest is 65535");
        findings.push(Fault::wrong(section.place_of("port"), text));
        0
    });
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
}
