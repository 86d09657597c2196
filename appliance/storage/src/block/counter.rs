//! Counter: joins the counters of downsampled chunks into one.
//!
//! Path: chunks of aggregates → **counter** → `chunks`, `compact::downsample`.
//! Source: Thanos, ApplyCounterResetsSeriesIterator.

/// One counter that never falls, of the counters of consecutive chunks, and the last true value.
pub(crate) fn join<'a>(chunks: impl Iterator<Item = &'a [(i64, f64)]>) -> (Vec<(i64, f64)>, f64) {
    let mut made: Vec<(i64, f64)> = Vec::new();
    let (mut last, mut total) = ((i64::MIN, 0.0), 0.0);
    for chunk in chunks {
        let begun = last.0;
        // What lies before the end of the chunk before it is passed over.
        let inside = |(time, _): &&(i64, f64)| begun < *time || made_nothing(begun);
        for (time, value) in chunk.iter().filter(inside).filter(|(_, value)| !value.is_nan()) {
            if made.is_empty() {
                total = *value;
            } else if *time == last.0 {
                // The true last value of the chunk: what the next one is compared with.
                last.1 = *value;
                continue;
            } else if *time < last.0 {
                continue;
            } else {
                total += if *value < last.1 { *value } else { *value - last.1 };
            }
            last = (*time, *value);
            made.push((*time, total));
        }
    }
    (made, last.1)
}

fn made_nothing(last_ms: i64) -> bool {
    last_ms == i64::MIN
}
