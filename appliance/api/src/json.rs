//! JSON by hand: what answers are made of, written into chunks of bounded size.

use model::label_set::LabelSet;
use model::number::write_sample_value;
use model::time::TimestampMs;

/// Bytes after which a chunk is handed on: large enough that a hand-over (a queue, a wake-up, a
/// write) is rare, small enough that an answer of any length holds a few of them.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// The reader of the answer is gone: stop writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// Takes finished chunks of an answer.
pub trait Sink {
    /// Takes the next bytes; may wait until the reader has room.
    ///
    /// # Errors
    /// The reader is gone.
    fn take(&mut self, chunk: &[u8]) -> Result<(), Gone>;
}

/// Writes JSON into chunks.
pub struct Writer<'a> {
    chunk: String,
    sink: &'a mut dyn Sink,
}

impl<'a> Writer<'a> {
    /// Writer of one answer into `sink`.
    pub fn new(sink: &'a mut dyn Sink) -> Writer<'a> {
        Writer { chunk: String::new(), sink }
    }

    /// Hands the chunk on when it is full. Called after each sample and element, so that a chunk
    /// passes its size by one of them at most.
    ///
    /// # Errors
    /// The reader is gone.
    pub fn settle(&mut self) -> Result<(), Gone> {
        if self.chunk.len() < CHUNK_BYTES {
            return Ok(());
        }
        self.sink.take(self.chunk.as_bytes())?;
        self.chunk.clear();
        Ok(())
    }

    /// Hands on what is left.
    ///
    /// # Errors
    /// The reader is gone.
    pub fn finish(self) -> Result<(), Gone> {
        self.sink.take(self.chunk.as_bytes())
    }

    /// Text that is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.chunk.push_str(json);
    }

    /// A string, quoted and escaped.
    pub fn string(&mut self, text: &str) {
        write_string(&mut self.chunk, text);
    }

    /// A whole number.
    pub fn integer(&mut self, number: impl itoa::Integer) {
        self.chunk.push_str(itoa::Buffer::new().format(number));
    }

    /// A float as a JSON number; what JSON has no number for is written as 0.
    pub fn float(&mut self, number: f64) {
        let number = if number.is_finite() { number } else { 0.0 };
        write_sample_value(&mut self.chunk, number);
    }

    /// A time: seconds, and three digits of milliseconds unless they are 0.
    pub fn time(&mut self, time: TimestampMs) {
        let ms = time.0.unsigned_abs();
        if time.0 < 0 {
            self.chunk.push('-');
        }
        self.integer(ms / 1000);
        let fraction = ms % 1000;
        if fraction != 0 {
            self.chunk.push('.');
            if fraction < 100 {
                self.chunk.push('0');
            }
            if fraction < 10 {
                self.chunk.push('0');
            }
            self.integer(fraction);
        }
    }

    /// A sample value: a string, because JSON has no NaN.
    pub fn value(&mut self, value: f64) {
        self.chunk.push('"');
        write_sample_value(&mut self.chunk, value);
        self.chunk.push('"');
    }

    /// A label set as an object.
    pub fn labels(&mut self, labels: &LabelSet) {
        self.chunk.push('{');
        for (at, (name, value)) in labels.iter().enumerate() {
            if at != 0 {
                self.chunk.push(',');
            }
            write_string(&mut self.chunk, name);
            self.chunk.push(':');
            write_string(&mut self.chunk, value);
        }
        self.chunk.push('}');
    }

    /// An array of strings.
    ///
    /// # Errors
    /// The reader is gone.
    pub fn strings<'t>(&mut self, texts: impl IntoIterator<Item = &'t String>) -> Result<(), Gone> {
        self.chunk.push('[');
        for (at, text) in texts.into_iter().enumerate() {
            if at != 0 {
                self.chunk.push(',');
            }
            self.string(text);
            self.settle()?;
        }
        self.chunk.push(']');
        Ok(())
    }
}

/// Appends `text` quoted; runs without special characters are copied whole.
fn write_string(json: &mut String, text: &str) {
    json.push('"');
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        json.push_str(&text[copied..at]);
        copied = at + 1;
        match byte {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            byte => json.push_str(&format!("\\u{byte:04x}")),
        }
    }
    json.push_str(&text[copied..]);
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Chunks(Vec<Vec<u8>>);

    impl Sink for Chunks {
        fn take(&mut self, chunk: &[u8]) -> Result<(), Gone> {
            self.0.push(chunk.to_vec());
            Ok(())
        }
    }

    #[track_caller]
    fn check(write: impl Fn(&mut Writer<'_>), expected: &str) {
        let mut chunks = Chunks::default();
        let mut writer = Writer::new(&mut chunks);
        write(&mut writer);
        writer.finish().expect("the sink takes all");
        assert_eq!(String::from_utf8(chunks.0.concat()).expect("text"), expected);
    }

    #[test]
    fn times_have_three_digits_or_none() {
        check(|w| w.time(TimestampMs(1_435_781_451_781)), "1435781451.781");
        check(|w| w.time(TimestampMs(1_435_781_451_000)), "1435781451");
        check(|w| w.time(TimestampMs(1_050)), "1.050");
        check(|w| w.time(TimestampMs(1)), "0.001");
        check(|w| w.time(TimestampMs(-1_500)), "-1.500");
        check(|w| w.time(TimestampMs(0)), "0");
    }

    #[test]
    fn strings_are_escaped() {
        check(|w| w.string("a\"b\\c\nd\u{1}é\u{7f}"), "\"a\\\"b\\\\c\\nd\\u0001é\u{7f}\"");
        let labels = LabelSet::new([("job", "a"), ("__name__", "up")]);
        check(move |w| w.labels(&labels), r#"{"__name__":"up","job":"a"}"#);
    }

    #[test]
    fn chunks_are_full_but_for_the_last() {
        let mut chunks = Chunks::default();
        let mut writer = Writer::new(&mut chunks);
        let texts = vec!["x".repeat(1000); 1000];
        writer.strings(&texts).expect("the sink takes all");
        writer.finish().expect("the sink takes all");
        let (last, full) = chunks.0.split_last().expect("chunks");
        assert!(last.len() < CHUNK_BYTES + 1100);
        assert!(full.len() > 10);
        assert!(full.iter().all(|c| (CHUNK_BYTES..CHUNK_BYTES + 1100).contains(&c.len())));
    }
}
