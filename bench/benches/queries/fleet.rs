//! Twenty targets of 1,000 series each, like those of node_exporter, of an HTTP service with pods
//! and of a server of small gauges: labels, and values that move as real ones do.

use model::label_set::LabelSet;

/// Series of a target.
pub(crate) const SERIES: usize = 1_000;

/// How a series moves.
#[derive(Clone, Copy)]
enum Shape {
    Constant,
    /// Whole units, so many at most a scrape.
    Counter(u64),
    /// Hundredths.
    Centi(u64),
    /// Bytes in pages around a base.
    Pages(f64),
    /// Two decimals.
    Load,
    /// All digits.
    Full,
}

/// One target: labels and present values.
pub(crate) struct Target {
    pub(crate) labels: Vec<LabelSet>,
    pub(crate) values: Vec<f64>,
    shapes: Vec<Shape>,
    counts: Vec<u64>,
    state: u64,
}

type Pairs<'a> = [(&'a str, &'a str)];

impl Target {
    /// Half of the targets are nodes, three in ten serve HTTP.
    pub(crate) fn new(number: usize) -> Target {
        let mut target = Target {
            labels: Vec::new(),
            values: vec![0.0; SERIES],
            shapes: Vec::new(),
            counts: (0..SERIES as u64).map(|at| at * 7_919 % 100_000).collect(),
            state: number as u64 * 2 + 1,
        };
        match number % 10 {
            0..=4 => target.node(number),
            5..=7 => target.pods(number),
            _ => {}
        }
        let job = ["node", "api", "other"][[0, 0, 0, 0, 0, 1, 1, 1, 2, 2][number % 10]];
        target.fill(job, number);
        target.step();
        target
    }

    fn put(&mut self, name: &str, job: &str, number: usize, more: &Pairs<'_>, shape: Shape) {
        if SERIES <= self.labels.len() {
            return;
        }
        let instance = format!("host-{number:04}.example.internal:9100");
        let own = [("__name__", name), ("job", job), ("instance", &instance)];
        self.labels.push(LabelSet::new(own.into_iter().chain(more.iter().copied())));
        self.shapes.push(shape);
    }

    fn node(&mut self, number: usize) {
        let gauges = [
            ("node_load1", Shape::Load),
            ("node_memory_MemAvailable_bytes", Shape::Pages(1.2e10)),
            ("node_memory_MemTotal_bytes", Shape::Constant),
        ];
        for (name, shape) in gauges {
            self.put(name, "node", number, &[], shape);
        }
        for cpu in 0..16 {
            let modes = ["idle", "iowait", "irq", "nice", "softirq", "steal", "system", "user"];
            for (at, mode) in modes.into_iter().enumerate() {
                let more = [("cpu", cpu.to_string()), ("mode", mode.to_owned())];
                let more = more.each_ref().map(|(name, value)| (*name, value.as_str()));
                let shape = if at % 3 == 2 { Shape::Constant } else { Shape::Centi(1_200) };
                self.put("node_cpu_seconds_total", "node", number, &more, shape);
            }
        }
        for device in ["eno1", "eno2", "bond0", "docker0", "lo", "veth0"] {
            let more = [("device", device)];
            let shape = Shape::Counter(7_000_000);
            self.put("node_network_receive_bytes_total", "node", number, &more, shape);
        }
    }

    fn pods(&mut self, number: usize) {
        let apps = ["api-gateway", "api-orders", "api-users", "checkout", "search", "ledger"];
        for at in 0..7 {
            let pod = format!("{}-{:010}-{number:02}{at}", apps[(number + at) % 6], number * 31);
            self.pod(number, &pod);
        }
    }

    fn pod(&mut self, number: usize, pod: &str) {
        let own = [("namespace", "prod"), ("pod", pod)];
        for handler in ["/items", "/items/{id}", "/login", "/orders", "/healthz", "/metrics"] {
            let asked = [("GET", "200"), ("GET", "404"), ("POST", "200"), ("POST", "500")];
            for (method, code) in asked {
                let more = [("handler", handler), ("method", method), ("code", code)];
                let more = [own.as_slice(), &more].concat();
                self.put("http_requests_total", "api", number, &more, Shape::Counter(1_000));
            }
            for le in LES {
                let more = [own.as_slice(), &[("handler", handler), ("le", le)]].concat();
                let name = "http_request_duration_seconds_bucket";
                self.put(name, "api", number, &more, Shape::Counter(300));
            }
        }
        let name = "process_resident_memory_bytes";
        self.put(name, "api", number, &own, Shape::Pages(3e8));
        for gauge in ["go_goroutines", "go_threads", "process_open_fds"] {
            self.put(gauge, "api", number, &own, Shape::Load);
        }
    }

    fn fill(&mut self, job: &str, number: usize) {
        while self.labels.len() < SERIES {
            let at = self.labels.len();
            let more = [("device", format!("disk{}", at % 20)), ("family", (at / 20).to_string())];
            let more = more.each_ref().map(|(name, value)| (*name, value.as_str()));
            let shape = match at % 10 {
                0..=3 => Shape::Constant,
                4..=7 => Shape::Counter(1_500),
                8 => Shape::Centi(300),
                _ => Shape::Full,
            };
            self.put("metric_total", job, number, &more, shape);
        }
    }

    fn chance(&mut self, below: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        (self.state >> 11) % below
    }

    /// The next scrape.
    pub(crate) fn step(&mut self) {
        for at in 0..SERIES {
            self.values[at] = match self.shapes[at] {
                Shape::Constant => self.counts[at] as f64,
                Shape::Counter(most) => {
                    self.counts[at] += self.chance(most);
                    self.counts[at] as f64
                }
                Shape::Centi(most) => {
                    self.counts[at] += self.chance(most);
                    self.counts[at] as f64 / 100.0
                }
                Shape::Pages(base) => base + 4_096.0 * self.chance(500) as f64,
                Shape::Load => self.chance(300) as f64 / 100.0,
                Shape::Full => self.chance(1 << 40) as f64 / 1e12,
            };
        }
    }
}

const LES: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
