//! What is set and found: configuration, rules, targets, files of /proc, certificates.

use std::path::Path;

use client::base64;
use client::certificate::{Facts, date_text};
use client::location::Place;
use discovery::dns::message::{Kind, answer};
use discovery::dns::system::System;
use discovery::group::{read_json, read_yaml};
use exposition::body::{Format, ReadOptions, read};
use exposition::dialect::Dialect;
use exposition::metrics::Collected;
use model::label_set::{Builder, LabelSet};
use query::parse::options::Options;
use scrape::relabel::{NameScheme, Rule, RuleOptions, apply};
use server::config::rule_file;
use server::host::{devices, kernel, network, system};

/// The configuration file.
pub fn config(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = server::config::load(text, Path::new("/nowhere/prometheus.yml"));
    }
}

/// Rule files, with the templates and expressions in them.
pub fn rules(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (promql, names) = (Options::ALL, NameScheme::Utf8);
    let options = rule_file::RuleOptions { promql, names, ignores_unknown: false };
    match rule_file::load(text, Path::new("rules.yml"), &options) {
        Ok(groups) => drop(format!("{groups:?}")),
        Err(error) => drop(error.to_string()),
    }
}

/// The file that says who may connect and ask. It names no file of this machine.
pub fn web_config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if !text.contains('/') {
        let _ = server::web_config::read(text, Path::new("nowhere"));
    }
}

/// Relabelling: rules of six lines each, and the labels that they rewrite.
pub fn relabel(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<&str> = text.lines().collect();
    let rules = lines.chunks_exact(6).filter_map(|fields| {
        let options = RuleOptions {
            action: fields[0].to_owned(),
            source_labels: fields[1].split(',').map(str::to_owned).collect(),
            separator: "-".to_owned(),
            regex: fields[2].to_owned(),
            modulus: fields[3].parse().unwrap_or(0),
            target_label: fields[4].to_owned(),
            replacement: fields[5].to_owned(),
            name_scheme: NameScheme::Utf8,
        };
        Rule::new(&options).ok()
    });
    let rules: Vec<Rule> = rules.take(8).collect();
    let labels = LabelSet::new([("__name__", "up"), ("a", "b:90"), ("ä", "ÄÖ"), ("job", "j")]);
    let mut builder = Builder::from(&labels);
    if apply(&rules, &mut builder) {
        // A name may be empty, as upstream's labelmap makes it; scrapes then refuse the series.
        assert!(builder.build().iter().all(|(_, value)| !value.is_empty()));
    }
}

/// What names targets: groups in files and answers as JSON and YAML, answers of a name server.
pub fn discovery(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    let source = |at: usize| at.to_string();
    let groups = match which % 4 {
        0 => read_json(bytes, &[("a", "b")], source),
        1 => match std::str::from_utf8(bytes) {
            Ok(text) => read_yaml(text, &[("a", "b")], source),
            Err(_) => return,
        },
        2 => {
            for kind in ["A", "AAAA", "SRV", "MX", "NS"] {
                let kind = Kind::find(kind).expect("a kind");
                let _ = answer(bytes, 0x0101, "a.b", kind);
            }
            return;
        }
        _ => {
            if let Ok(text) = std::str::from_utf8(bytes) {
                let _ = System::parse(text).names("a.b");
            }
            return;
        }
    };
    for group in groups.unwrap_or_default() {
        let _ = group.label_sets().count();
    }
}

/// Files of /proc: what is collected of them is an exposition.
pub fn host(data: &[u8]) {
    let Some((which, bytes)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let into = &mut Collected::default();
    match which % 13 {
        0 => kernel::stat(text, into),
        1 => kernel::schedstat(text, into),
        2 => kernel::loadavg(text, into),
        3 => kernel::meminfo(text, into),
        4 => kernel::pressure("cpu", text, into),
        5 => kernel::file_nr(text, into),
        6 => devices::disks(text, into),
        7 => devices::network(text, Path::new("nowhere"), into),
        8 => network::netstat(&[text.to_owned()], Some(text), into),
        9 => network::softnet(text, into),
        10 => network::arp(text, into),
        11 => network::sockstat(&[text.to_owned()], into),
        _ => {
            system::vmstat(text, into);
            system::release(text, into);
        }
    }
    let text = into.to_text();
    let format = Format::Text(Dialect::Text);
    let read = read(format, ReadOptions::default(), text.as_bytes(), &mut |_| {});
    assert!(read.is_ok(), "{text}: {read:?}");
}

/// What servers say of themselves: certificates, and where they send us on.
pub fn peer(bytes: &[u8]) {
    if let Some(facts) = Facts::read(bytes) {
        let _ = (date_text(facts.not_before), date_text(facts.not_after));
    }
    let place = Place::parse("http://a.example:90/b/c?d=e").expect("a place");
    if let Ok(next) = place.follow(bytes) {
        let url = next.url();
        let again = Place::parse(&url);
        assert!(again.is_ok(), "{url}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Some(decoded) = base64::decode(text) {
        let again = base64::decode(&base64::encode(&decoded));
        assert_eq!(again, Some(decoded));
    }
}
