//! The fleet: what a target shows, as a pure function of its number and the time.
//!
//! Three in ten series stand still; the others are counters that grow unevenly, gauges with two
//! decimals, sizes in bytes and full-precision floats, about as real exporters mix them. The label
//! `family` keeps series apart whose names a function drops.

/// Series in one family.
const FAMILY_SERIES: usize = 20;
const HOUR_MS: u64 = 3_600_000;

/// A fleet of equal-sized targets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fleet {
    /// Series of each target, `bench_clock_ms` included.
    pub(crate) series: usize,
    /// What its families are.
    pub(crate) corpus: Corpus,
    /// Percent of the series that give way to new ones in an hour, one after the other.
    pub(crate) churn: u64,
}

/// Families of one kind, or of all as real exporters mix them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Corpus {
    /// Three in ten stand still, three are counters, the rest one of each kind.
    #[default]
    Mixed,
    /// Nothing changes.
    Idle,
    /// Counters that grow.
    Counters,
    /// Gauges with two decimals.
    Decimals,
    /// Gauges of all seventeen digits.
    Floats,
    /// Classic histograms.
    Histograms,
}

impl Corpus {
    fn kind(self, family: usize) -> Kind {
        match self {
            Corpus::Mixed => Kind::of(family),
            Corpus::Idle => Kind::Constant,
            Corpus::Counters => Kind::Counter,
            Corpus::Decimals => Kind::Decimal,
            Corpus::Floats => Kind::Float,
            Corpus::Histograms => Kind::Histogram,
        }
    }
}

impl Fleet {
    /// Targets of `series` series of all kinds.
    pub(crate) fn mixed(series: usize) -> Fleet {
        Fleet { series, corpus: Corpus::Mixed, churn: 0 }
    }

    /// How often series `index` of `target` has given way to a new one until `now_ms`.
    fn generation(self, target: u64, index: usize, now_ms: u64) -> Option<u64> {
        let lifetime_ms = HOUR_MS.checked_mul(100)?.checked_div(self.churn)?;
        Some((now_ms + mix(target, index as u64) % lifetime_ms) / lifetime_ms)
    }

    /// Appends the page of `target` at `now_ms`.
    pub(crate) fn page(self, target: u64, now_ms: u64, page: &mut Vec<u8>) {
        let mut number = itoa::Buffer::new();
        page.extend_from_slice(b"# TYPE bench_clock_ms gauge\nbench_clock_ms ");
        page.extend_from_slice(number.format(now_ms).as_bytes());
        page.push(b'\n');
        for index in 1..self.series {
            let family = index / FAMILY_SERIES;
            let member = index % FAMILY_SERIES;
            let kind = self.corpus.kind(family);
            if member == 0 || index == 1 {
                let lines = format!(
                    "# HELP bench_{name}_{family} Family {family} of the made-up fleet.\n\
                     # TYPE bench_{name}_{family} {kind}\n",
                    name = kind.name(),
                    kind = kind.exposition_type(),
                );
                page.extend_from_slice(lines.as_bytes());
            }
            page.extend_from_slice(b"bench_");
            page.extend_from_slice(kind.name().as_bytes());
            page.push(b'_');
            page.extend_from_slice(number.format(family).as_bytes());
            if let Kind::Histogram = kind {
                write_bucket(target, family, member, now_ms, page);
                continue;
            }
            page.extend_from_slice(b"{device=\"disk");
            page.extend_from_slice(number.format(member / 4).as_bytes());
            page.extend_from_slice(b"\",family=\"");
            page.extend_from_slice(number.format(family).as_bytes());
            page.extend_from_slice(b"\",mode=\"");
            page.extend_from_slice(MODES[member % 4].as_bytes());
            if let Some(generation) = self.generation(target, index, now_ms) {
                page.extend_from_slice(b"\",pod=\"");
                page.extend_from_slice(number.format(generation).as_bytes());
            }
            page.extend_from_slice(b"\"} ");
            write_value(kind, mix(target, index as u64), now_ms, page);
            page.push(b'\n');
        }
    }
}

const BOUNDS: [&str; 5] = ["0.1", "0.5", "1", "5", "+Inf"];

/// The rest of the line of bucket `member` of a family of histograms, one a device.
fn write_bucket(target: u64, family: usize, member: usize, now_ms: u64, page: &mut Vec<u8>) {
    let (device, bound) = (member / BOUNDS.len(), member % BOUNDS.len());
    let seed = mix(target, (family * FAMILY_SERIES + device) as u64) | 1;
    let count = counter(seed, now_ms / 1000) / 5 * (bound as u64 + 1);
    let bound = BOUNDS[bound];
    let line =
        format!("_bucket{{device=\"disk{device}\",family=\"{family}\",le=\"{bound}\"}} {count}\n");
    page.extend_from_slice(line.as_bytes());
}

const MODES: [&str; 4] = ["idle", "system", "user", "iowait"];

#[derive(Clone, Copy)]
enum Kind {
    Constant,
    Counter,
    Histogram,
    Decimal,
    Bytes,
    Float,
}

impl Kind {
    fn of(family: usize) -> Kind {
        match family % 10 {
            0..=2 => Kind::Constant,
            3..=5 => Kind::Counter,
            6 => Kind::Histogram,
            7 => Kind::Decimal,
            8 => Kind::Bytes,
            _ => Kind::Float,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Constant => "info",
            Kind::Counter => "events_total",
            Kind::Histogram => "latency",
            Kind::Decimal => "load",
            Kind::Bytes => "size_bytes",
            Kind::Float => "seconds",
        }
    }

    fn exposition_type(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
            Kind::Constant | Kind::Decimal | Kind::Bytes | Kind::Float => "gauge",
        }
    }
}

fn write_value(kind: Kind, seed: u64, now_ms: u64, page: &mut Vec<u8>) {
    let mut number = itoa::Buffer::new();
    let seconds = now_ms / 1000;
    match kind {
        Kind::Constant | Kind::Histogram => {
            page.extend_from_slice(number.format(seed % 4).as_bytes());
        }
        Kind::Counter => page.extend_from_slice(number.format(counter(seed, seconds)).as_bytes()),
        Kind::Decimal => {
            let hundredths = mix(seed, seconds / 5) % 10_000;
            page.extend_from_slice(number.format(hundredths / 100).as_bytes());
            page.push(b'.');
            page.push(b'0' + u8::try_from(hundredths / 10 % 10).expect("a digit"));
            page.push(b'0' + u8::try_from(hundredths % 10).expect("a digit"));
        }
        Kind::Bytes => {
            let pages = mix(seed, seconds / 10) % 65_536;
            page.extend_from_slice(number.format(pages * 4096).as_bytes());
        }
        Kind::Float => {
            page.extend_from_slice(b"0.");
            page.extend_from_slice(number.format(mix(seed, seconds) >> 11).as_bytes());
        }
    }
}

/// Grows by up to ten times a slope in each ten seconds, never falls; a third of them stand still.
fn counter(seed: u64, seconds: u64) -> u64 {
    let slope = if seed.is_multiple_of(3) { 0 } else { seed % 97 };
    let now_slope = mix(seed, seconds / 10) % (slope + 1);
    (seconds / 10) % 100_000 * 10 * slope + seconds % 10 * now_slope
}

/// A number that looks random and depends on both (SplitMix64's finaliser).
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(b).wrapping_add(0x632b_e59b);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_its_series_and_depends_on_target_and_time_alone() {
        let fleet = Fleet::mixed(100);
        let page = |target, now_ms| {
            let mut page = Vec::new();
            fleet.page(target, now_ms, &mut page);
            String::from_utf8(page).expect("pages are ASCII")
        };
        let samples = page(1, 5_000).lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(samples, 100);
        assert_eq!(page(1, 5_000), page(1, 5_000));
        assert_ne!(page(1, 5_000), page(2, 5_000));
        assert_ne!(page(1, 5_000), page(1, 9_000));
    }

    #[test]
    fn series_give_way_to_new_ones_as_fast_as_asked() {
        let fleet = Fleet { churn: 100, ..Fleet::mixed(2_000) };
        let replaced = |minutes: u64| {
            let pod = |index, at| fleet.generation(7, index, at);
            (0..2_000).filter(|index| pod(*index, 0) != pod(*index, minutes * 60_000)).count()
        };
        assert!((900..1_100).contains(&replaced(30)), "{}", replaced(30));
        assert_eq!(replaced(60), 2_000);
        assert_eq!(Fleet::mixed(10).generation(7, 3, 5_000), None);
    }

    #[test]
    fn counters_never_fall() {
        for seed in 0..50 {
            for seconds in 0..1_000 {
                assert!(counter(seed, seconds) <= counter(seed, seconds + 1));
            }
        }
    }
}
