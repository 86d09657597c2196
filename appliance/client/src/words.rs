//! Words: causes of failed connections as Go's libraries tell them, for `lastError`.

use std::io;

use rustls::{AlertDescription, CertificateError, Error};

/// An error of the system without Rust's decoration: `no such file or directory`.
#[must_use]
pub fn system(cause: &io::Error) -> String {
    let text = cause.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_lowercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

/// Why a name has no address.
#[must_use]
pub fn lookup(cause: &io::Error) -> String {
    let text = cause.to_string();
    if text.contains("Name or service not known") || text.contains("No address associated") {
        return "no such host".to_owned();
    }
    if text.contains("Temporary failure") {
        return "server misbehaving".to_owned();
    }
    text.rsplit(": ").next().unwrap_or_default().to_lowercase()
}

/// Why TLS failed, complete with its prefix.
#[must_use]
pub fn tls(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => {
            format!("tls: failed to verify certificate: {}", other.0)
        }
        Error::InvalidCertificate(cause) => {
            format!("tls: failed to verify certificate: x509: {cause}")
        }
        Error::AlertReceived(alert) => format!("remote error: tls: {}", alert_text(*alert)),
        Error::InvalidMessage(_) => "tls: first record does not look like a TLS handshake".into(),
        Error::PeerIncompatible(cause) => format!("tls: handshake failure: {cause:?}"),
        Error::PeerMisbehaved(cause) => format!("tls: unexpected message: {cause:?}"),
        Error::DecryptError => "local error: tls: bad record MAC".into(),
        Error::NoApplicationProtocol => "tls: server selected unadvertised ALPN protocol".into(),
        other => format!("tls: {other}"),
    }
}

/// The names of Go's `crypto/tls`.
fn alert_text(alert: AlertDescription) -> String {
    let text = match alert {
        AlertDescription::CloseNotify => "close notify",
        AlertDescription::UnexpectedMessage => "unexpected message",
        AlertDescription::BadRecordMac => "bad record MAC",
        AlertDescription::RecordOverflow => "record overflow",
        AlertDescription::HandshakeFailure => "handshake failure",
        AlertDescription::BadCertificate => "bad certificate",
        AlertDescription::UnsupportedCertificate => "unsupported certificate",
        AlertDescription::CertificateRevoked => "revoked certificate",
        AlertDescription::CertificateExpired => "expired certificate",
        AlertDescription::CertificateUnknown => "unknown certificate",
        AlertDescription::IllegalParameter => "illegal parameter",
        AlertDescription::UnknownCA => "unknown certificate authority",
        AlertDescription::AccessDenied => "access denied",
        AlertDescription::DecodeError => "error decoding message",
        AlertDescription::DecryptError => "error decrypting message",
        AlertDescription::ProtocolVersion => "protocol version not supported",
        AlertDescription::InsufficientSecurity => "insufficient security level",
        AlertDescription::InternalError => "internal error",
        AlertDescription::MissingExtension => "missing extension",
        AlertDescription::UnsupportedExtension => "unsupported extension",
        AlertDescription::UnrecognisedName => "unrecognized name",
        AlertDescription::CertificateRequired => "certificate required",
        AlertDescription::NoApplicationProtocol => "no application protocol",
        other => return format!("alert({})", u8::from(other)),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_that_fail_are_told_in_gos_words() {
        let text = "failed to lookup address information: Name or service not known";
        assert_eq!(lookup(&io::Error::other(text)), "no such host");
        let text = "failed to lookup address information: Out Of Luck";
        assert_eq!(lookup(&io::Error::other(text)), "out of luck");
    }

    #[test]
    fn errors_of_the_system_lose_their_number() {
        let cause = io::Error::from_raw_os_error(2);
        assert_eq!(system(&cause), "no such file or directory");
    }

    #[test]
    fn alerts_have_gos_names() {
        let error = Error::AlertReceived(AlertDescription::CertificateRequired);
        assert_eq!(tls(&error), "remote error: tls: certificate required");
        let error = Error::AlertReceived(AlertDescription::Unknown(200));
        assert_eq!(tls(&error), "remote error: tls: alert(200)");
    }
}
