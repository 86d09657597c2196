//! Channel: TLS over bytes that somebody else sends and receives.
//!
//! Path: `client` receives onto the end of a channel's buffer → **channel** → plain text for
//! `http/exchange`; bytes to be sent the other way.
//! Never: does I/O, allocates a record's worth of memory while it idles.

use std::sync::Arc;

use client::words;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus,
};
use rustls::{AlertDescription, ClientConfig, Error, InvalidMessage};
use scrape::fetch::FetchFault;

/// Room for one handshake flight at first; more is made when it does not do.
const FLIGHT_BYTES: usize = 2048;

/// What [`Channel::advance`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The peer is known and text may be sent.
    pub is_open: bool,
    /// The peer said that it sends no more.
    pub is_closed: bool,
}

/// Why a channel failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelFault {
    /// The peer speaks nothing of what was offered to be spoken over TLS.
    Protocol,
    /// Anything else, in Go's words.
    Fetch(FetchFault),
}

/// The client's side of one TLS connection.
pub struct Channel {
    tls: UnbufferedClientConnection,
    /// Received and not yet opened.
    received: Vec<u8>,
    is_open: bool,
    is_first: bool,
}

impl Channel {
    /// A channel to the server of this name.
    ///
    /// # Errors
    /// The configuration does not go with the name.
    pub fn new(
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Channel, FetchFault> {
        let tls = UnbufferedClientConnection::new(Arc::clone(config), name)
            .map_err(|error| FetchFault::Tls(words::tls(&error)))?;
        Ok(Channel { tls, received: Vec::new(), is_open: false, is_first: true })
    }

    /// The buffer to receive onto; to be given back by [`Channel::put_buffer`].
    pub fn take_buffer(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.received)
    }

    /// Takes the buffer back, longer by what was received.
    pub fn put_buffer(&mut self, buffer: Vec<u8>) {
        self.received = buffer;
    }

    /// Whether nothing is half received: the channel may idle without a buffer.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.received.is_empty()
    }

    /// Opens what was received: text goes to the end of `plain`; what has to be sent for the
    /// protocol's sake goes to the end of `out`.
    ///
    /// # Errors
    /// See [`ChannelFault`]; `out` may hold an alert that tells the peer.
    pub fn advance(
        &mut self,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, ChannelFault> {
        let mut received = std::mem::take(&mut self.received);
        let mut from = 0;
        let outcome = self.open(&mut received, &mut from, plain, out);
        if let Err(error) = &outcome {
            self.take_alert(&mut received[from..], out);
            return Err(self.fault(error, &received));
        }
        self.is_first &= received.is_empty();
        received.copy_within(from.., 0);
        received.truncate(received.len() - from);
        self.received = received;
        outcome.map_err(|error| self.fault(&error, &[]))
    }

    /// Seals `plain` onto the end of `out`.
    ///
    /// # Errors
    /// The channel has failed or is not open.
    pub fn seal(&mut self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), FetchFault> {
        let failed = || FetchFault::Tls("tls: the connection takes no more text".to_owned());
        // It is given all that is not discarded: it remembers places in there.
        let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.received);
        assert_eq!(discard, 0, "`advance` left nothing to be discarded");
        let Ok(ConnectionState::WriteTraffic(mut traffic)) = state else { return Err(failed()) };
        grow(out, plain.len() + FLIGHT_BYTES, |room| match traffic.encrypt(plain, room) {
            Ok(bytes) => Ok(bytes),
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                Err(Some(required_size))
            }
            Err(EncryptError::EncryptExhausted) => Err(None),
        })
        .ok_or_else(failed)
    }

    fn open(
        &mut self,
        received: &mut [u8],
        from: &mut usize,
        plain: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Result<Progress, Error> {
        let mut is_closed = false;
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(&mut received[*from..]);
            let mut waits = false;
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    *from += discard;
                    return Err(error);
                }
            };
            match state {
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        plain.extend_from_slice(record.payload);
                        discard += record.discard;
                    }
                }
                ConnectionState::EncodeTlsData(data) => encode(data, out),
                // It is in `out`, which is sent before anything else.
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::WriteTraffic(_) => {
                    self.is_open = true;
                    waits = true;
                }
                ConnectionState::PeerClosed | ConnectionState::Closed => {
                    is_closed = true;
                    waits = true;
                }
                _ => waits = true,
            }
            *from += discard;
            if waits {
                return Ok(Progress { is_open: self.is_open, is_closed });
            }
        }
    }

    /// Adds the alert that tells the peer of a failure, where one is queued. It is asked for once
    /// and with all that was received, since reading on would be a second failure.
    fn take_alert(&mut self, received: &mut [u8], out: &mut Vec<u8>) {
        let UnbufferedStatus { state, .. } = self.tls.process_tls_records(received);
        if let Ok(ConnectionState::EncodeTlsData(data)) = state {
            encode(data, out);
        }
    }

    fn fault(&self, error: &Error, received: &[u8]) -> ChannelFault {
        if matches!(error, Error::AlertReceived(AlertDescription::NoApplicationProtocol)) {
            return ChannelFault::Protocol;
        }
        let is_message = matches!(error, Error::InvalidMessage(InvalidMessage::InvalidContentType));
        if self.is_first && is_message && received.starts_with(b"HTTP/") {
            let text = "http: server gave HTTP response to HTTPS client";
            return ChannelFault::Fetch(FetchFault::Cause(text.to_owned()));
        }
        ChannelFault::Fetch(FetchFault::Tls(words::tls(error)))
    }
}

fn encode(mut data: EncodeTlsData<'_, ClientConnectionData>, out: &mut Vec<u8>) {
    let written = grow(out, FLIGHT_BYTES, |room| match data.encode(room) {
        Ok(bytes) => Ok(bytes),
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
            Err(Some(required_size))
        }
        Err(EncodeError::AlreadyEncoded) => Err(None),
    });
    assert!(written.is_some(), "it was asked for once, with the room it needs");
}

/// Lets `write` add to `out`: it gets room and gives the bytes it wrote, or how much it needs, or
/// nothing when it cannot.
fn grow(
    out: &mut Vec<u8>,
    room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Option<usize>>,
) -> Option<()> {
    let start = out.len();
    out.resize(start + room, 0);
    let written = match write(&mut out[start..]) {
        Err(Some(needed)) => {
            out.resize(start + needed, 0);
            write(&mut out[start..])
        }
        other => other,
    };
    match written {
        Ok(bytes) => {
            out.truncate(start + bytes);
            Some(())
        }
        Err(_) => {
            out.truncate(start);
            None
        }
    }
}
