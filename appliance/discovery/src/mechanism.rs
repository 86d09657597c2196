//! Mechanism: the closed set of ways in which targets are found.

use crate::consul::{self, ConsulOptions};
use crate::dns::{self, DnsOptions};
use crate::docker::{self, DockerOptions};
use crate::dockerswarm::{self, SwarmOptions};
use crate::file::{self, FileOptions};
use crate::http::{self, HttpSdOptions};
use crate::kubernetes::{self, KubernetesOptions};
use crate::nomad::{self, NomadOptions};
use crate::outlet::Outlet;
use crate::puppetdb::{self, PuppetDbOptions};

/// One entry of a job's `*_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub enum Mechanism {
    /// `consul_sd_configs`
    Consul(Box<ConsulOptions>),
    /// `dns_sd_configs`
    Dns(DnsOptions),
    /// `docker_sd_configs`
    Docker(DockerOptions),
    /// `dockerswarm_sd_configs`
    DockerSwarm(SwarmOptions),
    /// `file_sd_configs`
    File(FileOptions),
    /// `http_sd_configs`
    Http(HttpSdOptions),
    /// `kubernetes_sd_configs`
    Kubernetes(Box<KubernetesOptions>),
    /// `nomad_sd_configs`
    Nomad(Box<NomadOptions>),
    /// `puppetdb_sd_configs`
    PuppetDb(PuppetDbOptions),
}

impl Mechanism {
    /// Its name, as metrics and the log say it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Mechanism::Consul(_) => "consul",
            Mechanism::Dns(_) => "dns",
            Mechanism::Docker(_) => "docker",
            Mechanism::DockerSwarm(_) => "dockerswarm",
            Mechanism::File(_) => "file",
            Mechanism::Http(_) => "http",
            Mechanism::Kubernetes(_) => "kubernetes",
            Mechanism::Nomad(_) => "nomad",
            Mechanism::PuppetDb(_) => "puppetdb",
        }
    }

    /// Runs until its task ends.
    pub async fn run(self, outlet: Outlet) {
        match self {
            Mechanism::Consul(options) => consul::run(*options, outlet).await,
            Mechanism::Dns(options) => dns::run(options, outlet).await,
            Mechanism::Docker(options) => docker::run(options, outlet).await,
            Mechanism::DockerSwarm(options) => dockerswarm::run(options, outlet).await,
            Mechanism::File(options) => file::run(options, outlet).await,
            Mechanism::Http(options) => http::run(options, outlet).await,
            Mechanism::Kubernetes(options) => kubernetes::run(*options, outlet).await,
            Mechanism::Nomad(options) => nomad::run(*options, outlet).await,
            Mechanism::PuppetDb(options) => puppetdb::run(options, outlet).await,
        }
    }
}
