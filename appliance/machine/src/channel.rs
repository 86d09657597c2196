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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use client::tls::{Material, Tls};
    use proptest::prelude::*;
    use rustls::crypto::aws_lc_rs;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::{ServerConfig, ServerConnection};
    use scrape::http_options::TlsOptions;

    use super::*;

    fn client() -> Channel {
        let options = TlsOptions { insecure_skip_verify: true, ..TlsOptions::default() };
        let tls = Tls::new(&options, &Material::default()).unwrap();
        Channel::new(&tls.http1, tls.name_for("localhost").unwrap()).unwrap()
    }

    fn server() -> ServerConnection {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .unwrap();
        ServerConnection::new(Arc::new(config)).unwrap()
    }

    fn receive(channel: &mut Channel, bytes: &[u8]) {
        let mut buffer = channel.take_buffer();
        buffer.extend_from_slice(bytes);
        channel.put_buffer(buffer);
    }

    /// Talks until the channel is open; what the server says is changed by `change` and comes in
    /// pieces of `piece` bytes.
    fn talk(
        piece: usize,
        mut change: impl FnMut(&mut Vec<u8>),
    ) -> Result<(Channel, ServerConnection, Vec<u8>), ChannelFault> {
        let (mut channel, mut server) = (client(), server());
        let (mut plain, mut out) = (Vec::new(), Vec::new());
        let mut progress = channel.advance(&mut plain, &mut out)?;
        for _ in 0..8 {
            let mut sent = out.as_slice();
            while !sent.is_empty() && server.read_tls(&mut sent).is_ok() {
                // Its alert is what it says then.
                let _ = server.process_new_packets();
            }
            out.clear();
            let mut said = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut said).unwrap();
            }
            change(&mut said);
            for piece in said.chunks(piece) {
                receive(&mut channel, piece);
                progress = channel.advance(&mut plain, &mut out)?;
            }
            if progress.is_open && out.is_empty() {
                break;
            }
        }
        Ok((channel, server, plain))
    }

    #[test]
    fn text_goes_both_ways_in_pieces_of_any_size() {
        for piece in [1, 7, 1000, 1 << 20] {
            let (mut channel, mut server, mut plain) = talk(piece, |_| {}).unwrap();
            let mut out = Vec::new();
            channel.seal(b"asked", &mut out).unwrap();
            let mut sent = out.as_slice();
            server.read_tls(&mut sent).unwrap();
            server.process_new_packets().unwrap();
            let mut asked = [0; 5];
            server.reader().read_exact(&mut asked).unwrap();
            assert_eq!(&asked, b"asked");
            let body: Vec<u8> = (b'a'..=b'z').cycle().take(50_000).collect();
            let mut said = Vec::new();
            server.writer().write_all(&body).unwrap();
            server.send_close_notify();
            while server.wants_write() {
                server.write_tls(&mut said).unwrap();
            }
            let mut progress = Progress::default();
            for piece in said.chunks(piece) {
                receive(&mut channel, piece);
                progress = channel.advance(&mut plain, &mut Vec::new()).unwrap();
            }
            assert!(progress.is_closed && channel.is_drained() && plain == body, "{piece}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever a server says, the answer is a value.
        #[test]
        fn no_bytes_of_a_server_end_the_process(
            at in 0_usize..3000,
            with in any::<u8>(),
            piece in 1_usize..2000,
            cut in any::<bool>(),
        ) {
            let _ = talk(piece, |said| {
                if cut {
                    said.truncate(at);
                } else if let Some(byte) = said.get_mut(at) {
                    *byte ^= with;
                }
            });
        }

        #[test]
        fn noise_is_no_channel(noise in prop::collection::vec(any::<u8>(), 5..500)) {
            let mut channel = client();
            let mut out = Vec::new();
            channel.advance(&mut Vec::new(), &mut out).unwrap();
            receive(&mut channel, &noise);
            let progress = channel.advance(&mut Vec::new(), &mut out);
            prop_assert!(progress.is_err() || progress.is_ok_and(|progress| !progress.is_open));
        }
    }
}
