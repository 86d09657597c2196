//! Whatever comes from outside: no panic, and what is promised of the result.

use std::sync::Arc;

use model::label_set::{Builder, LabelSet};
use model::time::{NANOS_PER_MS, Now, Tick, TimestampMs};
use proptest::prelude::*;
use scrape::fetch::{Fetched, Timings};
use scrape::job::{JobOptions, target};
use scrape::options::Options;
use scrape::relabel::{NameScheme, Rule, RuleOptions, apply};
use scrape::scraper::{Ended, Out, Scraper};
use storage::options::Options as StoreOptions;
use storage::store::Store;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("__address__".to_owned()),
        Just("__scheme__".to_owned()),
        Just("__metrics_path__".to_owned()),
        Just("__param_a".to_owned()),
        Just("__scrape_interval__".to_owned()),
        Just("__scrape_timeout__".to_owned()),
        Just("instance".to_owned()),
        "[a-c]{1,2}",
        any::<String>().prop_filter("a name", |name| !name.is_empty()),
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("http".to_owned()),
        Just("https".to_owned()),
        Just("1m".to_owned()),
        "[a-z.]{1,5}(:[0-9]{1,6})?",
        "\\[[0-9a-f:]{0,6}\\](:[0-9]{0,3})?",
        any::<String>(),
    ]
}

fn labels() -> impl Strategy<Value = LabelSet> {
    prop::collection::vec((name(), value()), 0..8).prop_map(|pairs| {
        LabelSet::new(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
    })
}

fn rule() -> impl Strategy<Value = RuleOptions> {
    let actions = [
        "replace",
        "keep",
        "drop",
        "keepequal",
        "dropequal",
        "hashmod",
        "labelmap",
        "labeldrop",
        "labelkeep",
        "lowercase",
        "uppercase",
    ];
    let regex = prop_oneof![Just("(.*)".to_owned()), "[a-c(.*)|+]{0,8}", any::<String>()];
    let text = prop_oneof![Just("$1".to_owned()), "[$\\{\\}a1]{0,6}", any::<String>()];
    let fields = (
        prop::collection::vec(name(), 0..3),
        prop::sample::select(actions.to_vec()),
        regex,
        text.clone(),
        text,
        0_u64..5,
        any::<bool>(),
    );
    fields.prop_map(|(source_labels, action, regex, target_label, replacement, modulus, legacy)| {
        RuleOptions {
            source_labels,
            action: action.to_owned(),
            regex,
            target_label,
            replacement,
            modulus,
            name_scheme: if legacy { NameScheme::Legacy } else { NameScheme::Utf8 },
            ..RuleOptions::default()
        }
    })
}

/// A scraper with one target, after `bodies` were its answers.
fn scraped(bodies: &[Vec<u8>]) -> Scraper {
    let job = JobOptions::new("test", 1_000, 1_000);
    let found = LabelSet::new([("__address__", "a:1")]);
    let spec = target(&job, &found).expect("a good target").expect("no rule drops it");
    let mut store = Store::new(StoreOptions::default());
    let mut scraper = Scraper::new(Options::default());
    let mut tick = 0;
    let at = |tick: u64| {
        let ms = i64::try_from(tick / NANOS_PER_MS).expect("a short test");
        Now { tick: Tick(tick), wall: TimestampMs(1_700_000_000_000 + ms) }
    };
    scraper.apply(at(tick), vec![Arc::new(spec)]);
    for body in bodies {
        let (mut fetches, mut effects) = (Vec::new(), Vec::new());
        tick = scraper.next_deadline().expect("the next slot").0.max(tick);
        let mut out = Out { store: &mut store, fetches: &mut fetches, effects: &mut effects };
        scraper.on_due(at(tick), &mut out);
        let fetch = out.fetches.pop().expect("a fetch is due");
        let fetched = Fetched { status: 200, content_type: "text/plain", body, wire_bytes: 0 };
        let timings = Timings { began: at(tick), ..Timings::default() };
        let (target, slot) = (fetch.target, fetch.slot);
        let ended = Ended { target, slot, outcome: Ok(fetched), timings };
        scraper.on_fetched(at(tick), ended, &mut out);
        scraper.check();
    }
    scraper
}

proptest! {
    #[test]
    fn any_labels_make_a_target_that_can_be_asked_or_an_error(found in labels()) {
        let job = JobOptions::new("test", 15_000, 10_000);
        if let Ok(Some(spec)) = target(&job, &found) {
            let url = &spec.url;
            prop_assert!(url.path_and_query.starts_with('/'));
            let line = format!("{} {}", url.path_and_query, url.authority);
            prop_assert!(line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '));
            prop_assert_eq!(line.matches(' ').count(), 1);
            prop_assert!(!url.host.is_empty() && url.port != 0);
            prop_assert!(spec.timeout_ms <= spec.interval_ms);
            prop_assert!(spec.labels.iter().all(|(name, _)| !name.starts_with("__")));
            prop_assert!(spec.labels.get("job").is_some() && spec.labels.get("instance").is_some());
        }
    }

    #[test]
    fn any_rules_apply_without_panic(
        rules in prop::collection::vec(rule(), 0..4),
        found in labels(),
    ) {
        let rules: Vec<Rule> = rules.iter().filter_map(|options| Rule::new(options).ok()).collect();
        let run = || {
            let mut builder = Builder::from(&found);
            apply(&rules, &mut builder).then(|| builder.build())
        };
        prop_assert_eq!(run(), run());
    }

    #[test]
    fn any_bodies_are_read_or_refused(
        bodies in prop::collection::vec(
            prop_oneof![
                any::<Vec<u8>>(),
                "([ab]\\{[xy]=\"[01]\"\\} [0-9]( [0-9]{1,3})?\n){0,6}".prop_map(String::into_bytes),
                "[ab{}=\", 0-9\n#]{0,40}".prop_map(String::into_bytes),
            ],
            1..6,
        ),
    ) {
        let scraper = scraped(&bodies);
        let status = &scraper.statuses()[0];
        prop_assert_eq!(status.last_error.is_empty(), status.health.text() == "up");
    }
}
