//! A stretch of the fleet's past, written to servers by remote write as fast as they take it.

use anyhow::Context as _;

use crate::fleet::Fleet;
use crate::remote_write::{post, put_bytes, put_varint, snappy};

/// Samples of each series in one request.
const REQUEST_STEPS: u64 = 40;

/// What `targets` of `fleet` showed every `step_ms`.
pub(crate) struct Past {
    /// Whose past.
    pub(crate) fleet: Fleet,
    /// How many of its targets.
    pub(crate) targets: u64,
    /// First sample, milliseconds since 1970.
    pub(crate) start_ms: u64,
    /// No sample at or after it.
    pub(crate) end_ms: u64,
    /// Between two samples.
    pub(crate) step_ms: u64,
}

impl Past {
    /// Writes all of it to the server at `address` in the order of time; gives the samples.
    pub(crate) fn write(&self, address: &str) -> anyhow::Result<u64> {
        let mut samples = 0;
        let mut from_ms = self.start_ms;
        while from_ms < self.end_ms {
            let to_ms = self.end_ms.min(from_ms + REQUEST_STEPS * self.step_ms);
            for target in 0..self.targets {
                let (request, held) = self.request(target, from_ms, to_ms)?;
                post(address, &snappy(&request))?;
                samples += held;
            }
            from_ms = to_ms;
        }
        Ok(samples)
    }

    /// `WriteRequest` of one target's pages within a range, and its samples.
    pub(crate) fn request(
        &self,
        target: u64,
        from_ms: u64,
        to_ms: u64,
    ) -> anyhow::Result<(Vec<u8>, u64)> {
        let mut page = Vec::new();
        let mut series: Vec<(String, Vec<u8>)> = Vec::new();
        // The series of each line of a page; a line's series gives way to another now and then.
        let mut shown: Vec<usize> = Vec::new();
        let mut samples = 0;
        let mut now_ms = from_ms;
        while now_ms < to_ms {
            page.clear();
            self.fleet.page(target, now_ms, &mut page);
            let text = std::str::from_utf8(&page).context("pages are ASCII")?;
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            for (at, line) in lines.enumerate() {
                let (name, value) = line.rsplit_once(' ').context("a line has a value")?;
                if shown.get(at).is_none_or(|of| series[*of].0 != name) {
                    match shown.get_mut(at) {
                        Some(of) => *of = series.len(),
                        None => shown.push(series.len()),
                    }
                    series.push((name.to_owned(), labels(name, target)?));
                }
                let value: f64 = value.parse().context("a value is a number")?;
                let mut sample = vec![1 << 3 | 1];
                sample.extend_from_slice(&value.to_le_bytes());
                sample.push(2 << 3);
                put_varint(&mut sample, now_ms);
                put_bytes(&mut series[shown[at]].1, 2, &sample);
                samples += 1;
            }
            now_ms += self.step_ms;
        }
        let mut request = Vec::new();
        for (_, one) in &series {
            put_bytes(&mut request, 1, one);
        }
        Ok((request, samples))
    }
}

/// The labels of `NAME{a="b",…}` and those that a scrape of the target would add, sorted.
fn labels(text: &str, target: u64) -> anyhow::Result<Vec<u8>> {
    let (name, rest) = text.split_once('{').unwrap_or((text, "}"));
    let rest = rest.strip_suffix('}').context("labels end")?;
    let target = target.to_string();
    let instance = format!("host-{target}:9100");
    let mut labels =
        vec![("__name__", name), ("instance", &instance), ("job", "bench"), ("target", &target)];
    for pair in rest.split(',').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once("=\"").context("a label has a value")?;
        labels.push((name, value.strip_suffix('"').context("a value ends")?));
    }
    labels.sort_unstable();
    let mut series = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        put_bytes(&mut label, 1, name.as_bytes());
        put_bytes(&mut label, 2, value.as_bytes());
        put_bytes(&mut series, 1, &label);
    }
    Ok(series)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_complete() {
        let bytes = labels("a{zone=\"z\",device=\"d\"}", 7).expect("labels");
        let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
        let order = ["__name__", "device", "instance", "host-7:9100", "job", "target", "zone"];
        let places: Vec<_> = order.iter().map(|word| text.find(word)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
    }
}
