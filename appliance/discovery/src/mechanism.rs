//! Mechanism: the closed set of ways in which targets are found.

use crate::dns::{self, DnsOptions};
use crate::file::{self, FileOptions};
use crate::outlet::Outlet;

/// One entry of a job's `*_sd_configs`.
#[derive(Clone, Debug, PartialEq)]
pub enum Mechanism {
    /// `dns_sd_configs`
    Dns(DnsOptions),
    /// `file_sd_configs`
    File(FileOptions),
}

impl Mechanism {
    /// Its name, as metrics and the log say it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Mechanism::Dns(_) => "dns",
            Mechanism::File(_) => "file",
        }
    }

    /// Runs until its outlet or its task ends.
    pub async fn run(self, outlet: Outlet) {
        match self {
            Mechanism::Dns(options) => dns::run(options, outlet).await,
            Mechanism::File(options) => file::run(options, outlet).await,
        }
    }
}
