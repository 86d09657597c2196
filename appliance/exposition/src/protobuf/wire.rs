//! Wire format of protocol buffers: fields of a message, borrowed from its bytes.
//!
//! Path: bytes from outside → **wire** → whoever knows the message.
//! Never: copies, allocates but for an error, recurses: a message within a message is a field's
//! bytes, and its reader asks for them.
//!
//! Source: protobuf.dev, "Encoding". Groups, which proto3 does not have, are refused.
//!
//! Invariants
//! - PW1: a field lies within its message.

use crate::error::BinaryError;

/// Bytes of the longest varint.
const VARINT_BYTES_MAX: usize = 10;

/// Fields of one message in order.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where the message begins in the body, for errors.
    base: usize,
}

/// One field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// Its number.
    pub number: u32,
    /// What it holds.
    pub value: Value<'a>,
    /// Where its value begins in the body.
    pub offset: usize,
}

/// What a field holds, as far as the wire tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Integers, booleans, enumerations.
    Varint(u64),
    /// Eight bytes: doubles and fixed integers.
    Fixed64(u64),
    /// Four bytes: floats and fixed integers.
    Fixed32(u32),
    /// Texts, bytes, messages, packed numbers.
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    /// The message that `bytes` is.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Message<'a> {
        Message { bytes, at: 0, base: 0 }
    }

    /// Takes a message whose length stands before it, as in a delimited stream; `None` at the end.
    ///
    /// # Errors
    /// The length is none, or more than there is.
    pub fn delimited(&mut self) -> Result<Option<Message<'a>>, BinaryError> {
        if self.bytes.len() == self.at {
            return Ok(None);
        }
        let bytes = self.length_delimited()?;
        let base = self.base + self.at - bytes.len();
        Ok(Some(Message { bytes, at: 0, base }))
    }

    /// Takes the next field; `None` at the end.
    ///
    /// # Errors
    /// The bytes are no field, or the field is longer than the message.
    pub fn field(&mut self) -> Result<Option<Field<'a>>, BinaryError> {
        if self.bytes.len() == self.at {
            return Ok(None);
        }
        let start = self.at;
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).ok().filter(|number| *number != 0);
        let Some(number) = number else { return Err(self.fault(start, "illegal field number")) };
        let mut offset = self.base + self.at;
        let value = match key & 7 {
            0 => Value::Varint(self.varint()?),
            1 => Value::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => {
                let bytes = self.length_delimited()?;
                offset = self.base + self.at - bytes.len();
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(u32::from_le_bytes(self.fixed()?)),
            other => return Err(self.fault(start, format!("wire type {other} is not read"))),
        };
        assert!(self.at <= self.bytes.len(), "PW1: a field ends within its message");
        Ok(Some(Field { number, value, offset }))
    }

    fn length_delimited(&mut self) -> Result<&'a [u8], BinaryError> {
        let start = self.at;
        let length = self.varint()?;
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(length).ok().and_then(|length| rest.get(..length));
        let Some(taken) = taken else {
            let reason = format!("length {length} passes the end of the message");
            return Err(self.fault(start, reason));
        };
        self.at += taken.len();
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, BinaryError> {
        match varint(&self.bytes[self.at..]) {
            Some((value, bytes)) => {
                self.at += bytes;
                Ok(value)
            }
            None => Err(self.fault(self.at, "a number that does not end")),
        }
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], BinaryError> {
        let Some(bytes) = self.bytes[self.at..].first_chunk::<N>() else {
            return Err(self.fault(self.at, format!("{N} bytes pass the end of the message")));
        };
        self.at += N;
        Ok(*bytes)
    }

    fn fault(&self, at: usize, reason: impl Into<String>) -> BinaryError {
        BinaryError { offset: self.base + at, reason: reason.into() }
    }
}

/// The varint at the start of `bytes` and the number of its bytes.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if at == VARINT_BYTES_MAX - 1 && 1 < bits {
            return None;
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
    }
    None
}

impl<'a> Field<'a> {
    /// The field as bytes.
    ///
    /// # Errors
    /// It has another wire type.
    pub fn bytes(&self) -> Result<&'a [u8], BinaryError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.unfit("bytes")),
        }
    }

    /// The field as a message.
    ///
    /// # Errors
    /// It has another wire type.
    pub fn message(&self) -> Result<Message<'a>, BinaryError> {
        Ok(Message { bytes: self.bytes()?, at: 0, base: self.offset })
    }

    /// The field as text.
    ///
    /// # Errors
    /// It has another wire type, or is not UTF-8.
    pub fn text(&self) -> Result<&'a str, BinaryError> {
        std::str::from_utf8(self.bytes()?).map_err(|error| BinaryError {
            offset: self.offset + error.valid_up_to(),
            reason: format!("field {} is not a valid utf8 string", self.number),
        })
    }

    /// The field as an unsigned integer.
    ///
    /// # Errors
    /// It has another wire type.
    pub fn uint64(&self) -> Result<u64, BinaryError> {
        match self.value {
            Value::Varint(value) => Ok(value),
            _ => Err(self.unfit("an integer")),
        }
    }

    /// The field as a signed integer of type `int64`.
    ///
    /// # Errors
    /// It has another wire type.
    pub fn int64(&self) -> Result<i64, BinaryError> {
        self.uint64().map(u64::cast_signed)
    }

    /// The field as a signed integer of type `sint64`.
    ///
    /// # Errors
    /// It has another wire type.
    pub fn sint64(&self) -> Result<i64, BinaryError> {
        self.uint64().map(zigzag)
    }

    /// The field as a signed integer of type `sint32`.
    ///
    /// # Errors
    /// It has another wire type or does not fit.
    pub fn sint32(&self) -> Result<i32, BinaryError> {
        i32::try_from(self.sint64()?).map_err(|_| self.unfit("32 bits"))
    }

    /// The field as an unsigned integer of type `uint32`.
    ///
    /// # Errors
    /// It has another wire type or does not fit.
    pub fn uint32(&self) -> Result<u32, BinaryError> {
        u32::try_from(self.uint64()?).map_err(|_| self.unfit("32 bits"))
    }

    /// The field as a double.
    ///
    /// # Errors
    /// It has another wire type.
    pub fn double(&self) -> Result<f64, BinaryError> {
        match self.value {
            Value::Fixed64(bits) => Ok(f64::from_bits(bits)),
            _ => Err(self.unfit("a double")),
        }
    }

    /// Adds the integers of a repeated field of type `sint64`, packed or one by one.
    ///
    /// # Errors
    /// It has another wire type, or the packed numbers do not fill it.
    pub fn sint64s(&self, into: &mut Vec<i64>) -> Result<(), BinaryError> {
        let Value::Bytes(mut rest) = self.value else {
            into.push(self.sint64()?);
            return Ok(());
        };
        while !rest.is_empty() {
            let Some((value, bytes)) = varint(rest) else { return Err(self.unfit("integers")) };
            into.push(zigzag(value));
            rest = &rest[bytes..];
        }
        Ok(())
    }

    /// Adds the numbers of a repeated field of type `uint64`, packed or one by one.
    ///
    /// # Errors
    /// It has another wire type, or the packed numbers do not fill it.
    pub fn uint64s(&self, into: &mut Vec<u64>) -> Result<(), BinaryError> {
        let Value::Bytes(mut rest) = self.value else {
            into.push(self.uint64()?);
            return Ok(());
        };
        while !rest.is_empty() {
            let Some((value, bytes)) = varint(rest) else { return Err(self.unfit("integers")) };
            into.push(value);
            rest = &rest[bytes..];
        }
        Ok(())
    }

    /// Adds the numbers of a repeated field of type `double`, packed or one by one.
    ///
    /// # Errors
    /// It has another wire type, or the packed numbers do not fill it.
    pub fn doubles(&self, into: &mut Vec<f64>) -> Result<(), BinaryError> {
        let Value::Bytes(bytes) = self.value else {
            into.push(self.double()?);
            return Ok(());
        };
        let (numbers, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(self.unfit("doubles"));
        }
        into.extend(numbers.iter().map(|number| f64::from_le_bytes(*number)));
        Ok(())
    }

    fn unfit(&self, wanted: &str) -> BinaryError {
        let reason = format!("field {} does not hold {wanted}", self.number);
        BinaryError { offset: self.offset, reason }
    }
}

fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put_varint(mut value: u64, into: &mut Vec<u8>) {
        while 0x80 <= value {
            into.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        into.push(value.to_le_bytes()[0]);
    }

    #[test]
    fn fields_have_the_types_of_the_wire() {
        // The example of "Encoding": field 1 = 150, then field 2 = "testing".
        let mut message = Message::new(b"\x08\x96\x01\x12\x07testing\x19\0\0\0\0\0\0\xf0\x3f");
        let mut field = || message.field().expect("a field");
        assert_eq!(field().expect("field 1").uint64(), Ok(150));
        let text = field().expect("field 2");
        assert_eq!((text.number, text.text(), text.offset), (2, Ok("testing"), 5));
        assert_eq!(field().expect("field 3").double(), Ok(1.0));
        assert_eq!(field(), None);
    }

    #[track_caller]
    fn check_fault(bytes: &[u8], expected: &str) {
        let fault = Message::new(bytes).field().expect_err("no field");
        assert_eq!(fault.to_string(), expected);
    }

    #[test]
    fn faults_name_their_place() {
        check_fault(b"\x08", "byte 1: a number that does not end");
        check_fault(
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            "byte 1: a number that does not end",
        );
        check_fault(b"\x12\x02a", "byte 1: length 2 passes the end of the message");
        check_fault(b"\x19abc", "byte 1: 8 bytes pass the end of the message");
        check_fault(b"\x0b", "byte 0: wire type 3 is not read");
        check_fault(b"\x00\x00", "byte 0: illegal field number");
        let field = Message::new(b"\x12\x01\xff").field().expect("a field").expect("one");
        assert_eq!(
            field.text().expect_err("no text").to_string(),
            "byte 2: field 2 is not a valid utf8 string"
        );
    }

    proptest! {
        #[test]
        fn numbers_read_back(values: Vec<i64>, doubles: Vec<f64>) {
            let mut packed = Vec::new();
            for value in &values {
                put_varint(((value << 1) ^ (value >> 63)).cast_unsigned(), &mut packed);
            }
            let field = Field { number: 1, value: Value::Bytes(&packed), offset: 0 };
            let mut read = Vec::new();
            field.sint64s(&mut read).expect("integers");
            prop_assert_eq!(read, values);
            let packed: Vec<u8> = doubles.iter().flat_map(|value| value.to_le_bytes()).collect();
            let field = Field { number: 1, value: Value::Bytes(&packed), offset: 0 };
            let mut read = Vec::new();
            field.doubles(&mut read).expect("doubles");
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&read), bits(&doubles));
        }

        #[test]
        fn pw1_any_bytes_are_fields_or_a_fault(bytes: Vec<u8>) {
            let mut message = Message::new(&bytes);
            let mut fields = 0;
            while let Ok(Some(field)) = message.field() {
                prop_assert!(field.offset <= bytes.len());
                fields += 1;
            }
            prop_assert!(fields <= bytes.len());
            let mut stream = Message::new(&bytes);
            while let Ok(Some(_)) = stream.delimited() {}
        }
    }
}
