//! DNS: targets named by SRV, A, AAAA, MX and NS records.
//!
//! Source: Prometheus's `discovery/dns`. A name whose lookup fails keeps its targets; one that
//! does not exist loses them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::label_set::LabelSet;
use tokio::task::JoinSet;

use crate::address::join;
use crate::group::{ADDRESS, Group};
use crate::metrics::Metrics;
use crate::outlet::Outlet;
use crate::refresh::{self, Refresh};

pub mod message;
pub mod system;
pub mod lookup;

use lookup::lookup;
use message::{Kind, Record};
use system::System;

const NAME: &str = "__meta_dns_name";
const SRV_TARGET: &str = "__meta_dns_srv_record_target";
const SRV_PORT: &str = "__meta_dns_srv_record_port";
const MX_TARGET: &str = "__meta_dns_mx_record_target";
const NS_TARGET: &str = "__meta_dns_ns_record_target";

/// One of `dns_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub struct DnsOptions {
    /// Names that are looked up.
    pub names: Vec<String>,
    /// Kind of records. Default SRV.
    pub kind: Kind,
    /// Port of targets whose records name none.
    pub port: u16,
    /// `refresh_interval`. Default 30 s.
    pub refresh: Duration,
    /// Where the system says which servers to ask: /etc/resolv.conf.
    pub system: PathBuf,
}

/// Looks the names up every `refresh`; ends with its outlet.
pub async fn run(options: DnsOptions, outlet: Outlet) {
    let period = options.refresh;
    let metrics = Arc::clone(&outlet.metrics);
    refresh::run(Names { options, metrics, known: BTreeMap::new() }, period, outlet).await;
}

struct Names {
    options: DnsOptions,
    metrics: Arc<Metrics>,
    /// What each name gave last.
    known: BTreeMap<String, Group>,
}

impl Refresh for Names {
    async fn refresh(&mut self) -> Result<Vec<Group>, String> {
        let path = &self.options.system;
        let system = System::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let system = Arc::new(system);
        let mut lookups = JoinSet::new();
        for name in &self.options.names {
            let (name, kind, system) = (name.clone(), self.options.kind, Arc::clone(&system));
            lookups.spawn(async move {
                let records = lookup(&system, &name, kind).await;
                (name, records)
            });
        }
        while let Some(done) = lookups.join_next().await {
            let Ok((name, records)) = done else { continue };
            self.metrics.dns_lookups.fetch_add(1, Ordering::Relaxed);
            match records {
                Ok(records) => {
                    let group = group(&name, &records, self.options.port);
                    self.known.insert(name, group);
                }
                Err(reason) => {
                    self.metrics.dns_lookup_failures.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(name, reason, "a name of targets cannot be looked up");
                }
            }
        }
        Ok(self.known.values().cloned().collect())
    }
}

fn group(name: &str, records: &[Record], port: u16) -> Group {
    let targets = records.iter().map(|record| match record {
        Record::Srv { target, port } => {
            let port_text = port.to_string();
            let address = join(unrooted(target), *port);
            LabelSet::new([
                (ADDRESS, address.as_str()),
                (NAME, name),
                (SRV_TARGET, target),
                (SRV_PORT, &port_text),
            ])
        }
        Record::Mx(target) => {
            let address = join(unrooted(target), port);
            LabelSet::new([(ADDRESS, address.as_str()), (NAME, name), (MX_TARGET, target)])
        }
        Record::Ns(target) => {
            let address = join(unrooted(target), port);
            LabelSet::new([(ADDRESS, address.as_str()), (NAME, name), (NS_TARGET, target)])
        }
        Record::Address(address) => {
            let address = join(&address.to_string(), port);
            LabelSet::new([(ADDRESS, address.as_str()), (NAME, name)])
        }
    });
    let targets = targets.collect();
    Group { source: name.to_owned(), labels: LabelSet::empty(), targets }
}

/// Without the dots that end a rooted name.
fn unrooted(name: &str) -> &str {
    name.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_targets_with_upstreams_labels() {
        #[track_caller]
        fn check(record: Record, expected: &str) {
            let found = group("n", &[record], 80).targets[0].to_string();
            assert_eq!(found, format!("{{{expected}}}").replace("meta_", "__meta_dns_"));
        }
        check(
            Record::Srv { target: "db.example.".to_owned(), port: 3306 },
            "__address__=\"db.example:3306\", meta_name=\"n\", meta_srv_record_port=\"3306\", \
             meta_srv_record_target=\"db.example.\"",
        );
        check(
            Record::Mx("mail.example.".to_owned()),
            "__address__=\"mail.example:80\", meta_mx_record_target=\"mail.example.\", \
             meta_name=\"n\"",
        );
        check(
            Record::Ns("ns.example.".to_owned()),
            "__address__=\"ns.example:80\", meta_name=\"n\", \
             meta_ns_record_target=\"ns.example.\"",
        );
        let address = |text: &str| Record::Address(text.parse().unwrap());
        check(address("192.0.2.1"), "__address__=\"192.0.2.1:80\", meta_name=\"n\"");
        check(address("2001:db8::1"), "__address__=\"[2001:db8::1]:80\", meta_name=\"n\"");
    }
}
