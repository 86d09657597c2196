//! What comes from outside: no text makes reading a configuration panic, and whatever is accepted
//! is written back as something that is accepted too.

use std::path::Path;

use proptest::prelude::*;
use server::config::load;

const GOOD: &str = "global: {scrape_interval: 5s, external_labels: {a: $B}}
scrape_configs:
  - job_name: a
    static_configs: &x
      - targets: ['h:1']
        labels: {rack: 7}
    basic_auth: {username: u, password: p}
    relabel_configs: [{source_labels: [a], regex: (.*), target_label: b}]
  - job_name: b
    static_configs: *x
cresset: {shards: 2, segment_size: 4MiB}
";

/// The file with some bytes replaced, dropped or doubled.
fn damaged(edits: &[(usize, u8, u8)]) -> String {
    let mut bytes = GOOD.as_bytes().to_vec();
    for (at, kind, byte) in edits {
        let at = at % bytes.len();
        match kind % 3 {
            0 => bytes[at] = *byte,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, bytes[at]),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #[test]
    fn any_text_is_refused_or_accepted(text in "\\PC{0,200}") {
        let _ = load(&text, Path::new("p.yml"));
    }

    #[test]
    fn a_damaged_file_is_refused_or_accepted(
        edits in prop::collection::vec((any::<usize>(), any::<u8>(), 32u8..127), 1..6),
    ) {
        let text = damaged(&edits);
        match load(&text, Path::new("p.yml")) {
            Err(error) => prop_assert!(!error.with_snippets().is_empty()),
            Ok(config) => {
                let hidden = config.yaml.replace("<secret>", "x");
                let again = load(&hidden, Path::new("p.yml"));
                prop_assert!(again.is_ok(), "{again:?} for {hidden}");
            }
        }
    }
}

#[test]
fn the_file_itself_is_good() {
    let config = load(GOOD, Path::new("p.yml")).expect("valid");
    assert_eq!(config.jobs.len(), 2);
}
