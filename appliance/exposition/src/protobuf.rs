//! Protocol buffers: the wire, and the message that targets answer with.

pub mod wire;
pub mod family;
