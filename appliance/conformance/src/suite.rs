//! The suites by name.

use std::path::Path;

use crate::report::{Known, Report};
use crate::{
    compliance, config, dashboards, downsample, exposition, federate, openapi, openmetrics,
    promql_parse, promql_pretty, promql_real, promqltest, protobuf, relabel, remotewrite_receiver,
    tsdb,
};

/// A suite: public cases and how they are judged.
pub struct Suite {
    /// Its name on the command line.
    pub name: &'static str,
    /// Judges the cases below the directory of test data: one report, or one a file.
    ///
    /// An error means that the test data is not there or not as expected.
    pub run: fn(&Path) -> anyhow::Result<Vec<Report>>,
    /// Its cases that fail, each with the reason.
    pub known: &'static [Known],
}

/// Every suite.
pub const SUITES: &[Suite] = &[
    Suite { name: "config", run: config::run, known: &[] },
    Suite { name: "relabel", run: relabel::run, known: &[] },
    Suite { name: "exposition", run: exposition::run, known: exposition::KNOWN },
    Suite { name: "openmetrics", run: openmetrics::run, known: &[] },
    Suite { name: "protobuf", run: protobuf::run, known: &[] },
    Suite { name: "promql_parse", run: promql_parse::run, known: &[] },
    Suite { name: "promql_pretty", run: promql_pretty::run, known: &[] },
    Suite { name: "promql_real", run: promql_real::run, known: &[] },
    Suite { name: "compliance", run: compliance::run, known: &[] },
    Suite { name: "dashboards", run: dashboards::run, known: &[] },
    Suite { name: "promqltest", run: promqltest::run, known: &[] },
    Suite { name: "federate", run: federate::run, known: &[] },
    Suite { name: "tsdb", run: tsdb::run, known: &[] },
    Suite { name: "openapi", run: openapi::run, known: openapi::KNOWN },
    Suite { name: "remotewrite_receiver", run: remotewrite_receiver::run, known: &[] },
    Suite { name: "downsample", run: downsample::run, known: &[] },
];

/// The suite of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Suite> {
    SUITES.iter().find(|suite| suite.name == name)
}
