//! Rows like those of node_exporter: of 500 series 350 never change, the others are counters in
//! whole units or hundredths, gauges in pages, and a few full floats.

/// Series of the group.
pub(crate) const COLUMNS: usize = 500;

/// Values of all series.
pub(crate) struct Corpus {
    state: u64,
    pub(crate) values: Vec<f64>,
    counts: Vec<u64>,
}

impl Corpus {
    pub(crate) fn new(seed: u64) -> Corpus {
        let counts: Vec<u64> = (0..COLUMNS as u64).map(|c| c * 7919 % 100_000).collect();
        let values = counts.iter().map(|count| *count as f64).collect();
        Corpus { state: seed | 1, values, counts }
    }

    fn chance(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % below
    }

    /// The next scrape.
    pub(crate) fn step(&mut self) {
        for column in 0..COLUMNS {
            let value = match column % 10 {
                0 => {
                    self.counts[column] += self.chance(1500);
                    self.counts[column] as f64
                }
                1 if column < 400 => {
                    self.counts[column] += self.chance(300);
                    self.counts[column] as f64 / 100.0
                }
                2 if column < 250 => {
                    let page = 4096.0 * self.chance(500) as f64;
                    3.0e9 + page
                }
                2 if column < 290 => {
                    self.counts[column] += self.chance(1_000_000_000);
                    self.counts[column] as f64 / 1e9
                }
                2 => self.chance(100) as f64 / 100.0,
                _ => continue,
            };
            self.values[column] = value;
        }
    }
}
