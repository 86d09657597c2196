//! Headers: `http_headers` and the Authorization header, files read.

use scrape::http_options::{Authorization, HttpOptions, Text};

use crate::base64;
use crate::secret;

/// Name of the header that carries credentials.
pub const AUTHORIZATION: &str = "Authorization";

/// Headers ready to be sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// For every host.
    pub public: Vec<(String, String)>,
    /// For the first host only: redirects to another one go without.
    pub secret: Vec<(String, String)>,
}

impl Headers {
    /// The headers of `options`; what `oauth2` makes is not among them.
    ///
    /// # Errors
    /// A file cannot be read or holds what no header can, in words for `lastError`.
    pub fn read(options: &HttpOptions) -> Result<Headers, String> {
        let mut headers = Headers::default();
        let authorization = match &options.authorization {
            None | Some(Authorization::OAuth2(_)) => None,
            Some(Authorization::Basic { username, password }) => Some(basic(username, password)?),
            Some(Authorization::Scheme { name, credentials }) => {
                let credentials = secret::read(credentials).map_err(|cause| {
                    format!("unable to read authorization credentials: {cause}")
                })?;
                Some(format!("{name} {credentials}"))
            }
        };
        if let Some(value) = authorization {
            check_value(AUTHORIZATION, &value)?;
            headers.secret.push((AUTHORIZATION.to_owned(), value));
        }
        for header in &options.headers {
            let value = secret::read(&header.value)
                .map_err(|cause| format!("unable to read headers file: {cause}"))?;
            check_value(&header.name, &value)?;
            let into = if header.is_secret { &mut headers.secret } else { &mut headers.public };
            into.push((header.name.clone(), value));
        }
        Ok(headers)
    }
}

/// Whether some of the headers lie in files.
#[must_use]
pub fn is_immutable(options: &HttpOptions) -> bool {
    let lies = |text: &Text| matches!(text, Text::File(_));
    let authorization = match &options.authorization {
        None => false,
        Some(Authorization::Basic { username, password }) => lies(username) || lies(password),
        Some(Authorization::Scheme { credentials, .. }) => lies(credentials),
        Some(Authorization::OAuth2(_)) => true,
    };
    !authorization && !options.headers.iter().any(|header| lies(&header.value))
}

fn basic(username: &Text, password: &Text) -> Result<String, String> {
    let username = secret::read(username);
    let username =
        username.map_err(|cause| format!("unable to read basic auth username: {cause}"))?;
    let password = secret::read(password);
    let password =
        password.map_err(|cause| format!("unable to read basic auth password: {cause}"))?;
    Ok(format!("Basic {}", base64::encode(format!("{username}:{password}").as_bytes())))
}

/// A line break in a value would smuggle in another header.
fn check_value(name: &str, value: &str) -> Result<(), String> {
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!("net/http: invalid header field value for \"{name}\""));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use scrape::http_options::Header;

    use super::*;

    #[test]
    fn credentials_and_secret_headers_are_kept_apart() {
        let header = |name: &str, is_secret| Header {
            name: name.to_owned(),
            value: Text::inline("v"),
            is_secret,
        };
        let options = HttpOptions {
            authorization: Some(Authorization::Basic {
                username: Text::inline("Aladdin"),
                password: Text::inline("open sesame"),
            }),
            headers: vec![header("A", false), header("B", true)],
            ..HttpOptions::default()
        };
        let headers = Headers::read(&options).unwrap();
        assert_eq!(headers.public, [("A".to_owned(), "v".to_owned())]);
        let basic = "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".to_owned();
        assert_eq!(headers.secret[0], ("Authorization".to_owned(), basic));
        assert_eq!(headers.secret[1].0, "B");
    }

    #[test]
    fn a_value_with_a_line_break_is_refused() {
        let authorization = Authorization::Scheme {
            name: "Bearer".to_owned(),
            credentials: Text::inline("a\r\nX: b"),
        };
        let options = HttpOptions { authorization: Some(authorization), ..HttpOptions::default() };
        let error = Headers::read(&options).unwrap_err();
        assert_eq!(error, "net/http: invalid header field value for \"Authorization\"");
    }

    #[test]
    fn a_missing_file_is_named() {
        let authorization = Authorization::Scheme {
            name: "Bearer".to_owned(),
            credentials: Text::File("/no/such/token".into()),
        };
        let options = HttpOptions { authorization: Some(authorization), ..HttpOptions::default() };
        assert!(!is_immutable(&options));
        assert_eq!(
            Headers::read(&options).unwrap_err(),
            "unable to read authorization credentials: unable to read file /no/such/token: open \
             /no/such/token: no such file or directory"
        );
    }
}
