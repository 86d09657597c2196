//! How late scrapes begin, and how long commits take: histograms of the daemon's own page.

use anyhow::Context as _;

use crate::client;

/// How late scrapes begin.
pub(crate) const LATE: &str = "cresset_scrape_slot_lateness_seconds";
/// How long commits take.
pub(crate) const COMMIT: &str = "cresset_wal_commit_duration_seconds";

/// Cumulative counts by upper bound in seconds.
#[derive(Clone, Debug)]
pub(crate) struct Lateness(Vec<(f64, f64)>);

impl Lateness {
    /// What the server at `address` has counted so far of a histogram, all shards together.
    pub(crate) fn read(address: &str, histogram: &str) -> anyhow::Result<Lateness> {
        Lateness::of_page(&client::get(address, "/metrics")?.body, histogram)
    }

    fn of_page(page: &str, histogram: &str) -> anyhow::Result<Lateness> {
        let start = format!("{histogram}_bucket");
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for line in page.lines().filter(|line| line.starts_with(&start)) {
            let le = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next());
            let le: f64 = le.and_then(|le| le.parse().ok()).context("a bucket has a bound")?;
            let count: f64 = line.rsplit(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
            match buckets.iter_mut().find(|(bound, _)| bound.total_cmp(&le).is_eq()) {
                Some((_, sum)) => *sum += count,
                None => buckets.push((le, count)),
            }
        }
        buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        Ok(Lateness(buckets))
    }

    /// What came after `before`.
    pub(crate) fn since(&self, before: &Lateness) -> Lateness {
        let less = |bound: f64| {
            let same = before.0.iter().find(|(known, _)| known.total_cmp(&bound).is_eq());
            same.map_or(0.0, |(_, count)| *count)
        };
        Lateness(self.0.iter().map(|(bound, count)| (*bound, count - less(*bound))).collect())
    }

    /// Both together.
    pub(crate) fn plus(&self, other: &Lateness) -> Lateness {
        let pairs = self.0.iter().zip(&other.0);
        Lateness(pairs.map(|((bound, count), (_, more))| (*bound, count + more)).collect())
    }

    /// An upper bound of a quantile, seconds.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        let rank = quantile * self.0.last().map_or(0.0, |(_, count)| *count);
        self.0.iter().find(|(_, count)| rank <= *count).map_or(0.0, |(bound, _)| *bound)
    }

    /// Quantiles in words.
    pub(crate) fn text(&self) -> String {
        let part = |quantile: f64| {
            format!("p{} <= {:.3} ms", quantile * 100.0, self.quantile(quantile) * 1e3)
        };
        [0.5, 0.99, 0.999].map(part).join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_what_came_between() {
        let page = |counts: [u32; 3]| {
            let bounds = ["0.001", "0.1", "+Inf"];
            let lines = bounds.iter().zip(counts);
            let lines = lines.map(|(le, count)| format!("{LATE}_bucket{{le=\"{le}\"}} {count}\n"));
            Lateness::of_page(&lines.collect::<String>(), LATE).expect("a page")
        };
        let passed = page([10, 30, 30]).since(&page([10, 10, 10]));
        assert!((passed.quantile(0.5) - 0.1).abs() < 1e-9);
        assert_eq!(passed.text(), "p50 <= 100.000 ms, p99 <= 100.000 ms, p99.9 <= 100.000 ms");
    }
}
