//! Writes protocol buffers, field by field.
//!
//! Path: whoever knows the message → **protobuf_write** → bytes.
//! As proto3 has it, a number that is zero is left out by the methods that say so.

/// A message under construction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writer {
    bytes: Vec<u8>,
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;

impl Writer {
    /// The message so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The message.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Forgets what it has, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    fn key(&mut self, field: u32, wire: u64) {
        put_varint(u64::from(field) << 3 | wire, &mut self.bytes);
    }

    /// An unsigned integer, a boolean or an enumeration; left out when 0.
    pub fn uint64(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.key(field, VARINT);
            put_varint(value, &mut self.bytes);
        }
    }

    /// An integer of type `int64`; left out when 0.
    pub fn int64(&mut self, field: u32, value: i64) {
        self.uint64(field, value.cast_unsigned());
    }

    /// An integer of type `sint64` or `sint32`; left out when 0.
    pub fn sint64(&mut self, field: u32, value: i64) {
        self.uint64(field, zigzag(value));
    }

    /// A double; left out when it is 0 and not negative.
    pub fn double(&mut self, field: u32, value: f64) {
        if value.to_bits() != 0 {
            self.key(field, FIXED64);
            self.bytes.extend_from_slice(&value.to_le_bytes());
        }
    }

    /// A double, even when 0.
    pub fn double_always(&mut self, field: u32, value: f64) {
        self.key(field, FIXED64);
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Text or bytes, even when empty.
    pub fn put(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, BYTES);
        put_varint(count(bytes.len()), &mut self.bytes);
        self.bytes.extend_from_slice(bytes);
    }

    /// Text; left out when empty.
    pub fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.put(field, text.as_bytes());
        }
    }

    /// A message within this one, even when empty.
    pub fn message(&mut self, field: u32, write: impl FnOnce(&mut Writer)) {
        let mut inner = Writer::default();
        write(&mut inner);
        self.put(field, &inner.bytes);
    }

    /// Packed numbers of type `uint32` or `uint64`; left out when there are none.
    pub fn uint64s(&mut self, field: u32, values: impl IntoIterator<Item = u64>) {
        self.packed(field, values, put_varint);
    }

    /// Packed numbers of type `sint64`; left out when there are none.
    pub fn sint64s(&mut self, field: u32, values: impl IntoIterator<Item = i64>) {
        self.packed(field, values, |value, into| put_varint(zigzag(value), into));
    }

    /// Packed doubles; left out when there are none.
    pub fn doubles(&mut self, field: u32, values: impl IntoIterator<Item = f64>) {
        self.packed(field, values, |value, into| into.extend_from_slice(&value.to_le_bytes()));
    }

    fn packed<T>(
        &mut self,
        field: u32,
        values: impl IntoIterator<Item = T>,
        put: impl Fn(T, &mut Vec<u8>),
    ) {
        let mut packed = Vec::new();
        values.into_iter().for_each(|value| put(value, &mut packed));
        if !packed.is_empty() {
            self.put(field, &packed);
        }
    }
}

/// Appends a varint.
pub fn put_varint(mut value: u64, into: &mut Vec<u8>) {
    while 0x80 <= value {
        into.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    into.push(value.to_le_bytes()[0]);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use exposition::protobuf::wire::Message;

    use super::*;

    #[test]
    fn fields_read_back() {
        let mut writer = Writer::default();
        writer.uint64(1, 300);
        writer.uint64(2, 0);
        writer.int64(3, -1);
        writer.sint64(4, -2);
        writer.double(5, -0.0);
        writer.text(6, "a");
        writer.message(7, |inner| inner.uint64(1, 1));
        writer.sint64s(8, [1, -1]);
        writer.doubles(9, [0.5]);
        let mut message = Message::new(writer.bytes());
        let mut numbers = Vec::new();
        while let Some(field) = message.field().expect("a field") {
            numbers.push(field.number);
            match field.number {
                1 => assert_eq!(field.uint64(), Ok(300)),
                3 => assert_eq!(field.int64(), Ok(-1)),
                4 => assert_eq!(field.sint64(), Ok(-2)),
                5 => assert!(field.double().expect("a double").is_sign_negative()),
                6 => assert_eq!(field.text(), Ok("a")),
                7 => assert!(field.message().expect("a message").field().is_ok()),
                8 => {
                    let mut found = Vec::new();
                    field.sint64s(&mut found).expect("numbers");
                    assert_eq!(found, [1, -1]);
                }
                _ => {
                    let mut found = Vec::new();
                    field.doubles(&mut found).expect("numbers");
                    assert_eq!(found, [0.5]);
                }
            }
        }
        assert_eq!(numbers, [1, 3, 4, 5, 6, 7, 8, 9]);
    }
}
