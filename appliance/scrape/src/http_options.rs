//! HTTP options: how something is reached over HTTP, as `http_config` says it; files not yet read.
//!
//! Path: configuration → **http_options** → scrapes, discovery and whoever else asks over HTTP.
//! Never: reads a file, shows a secret.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A text that may be secret: its debug form does not show it.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// A text that is written in the configuration or lies in a file, which is read again as it
/// changes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Text {
    /// Written.
    Inline(Secret),
    /// In this file; white space around it does not count.
    File(PathBuf),
}

impl Text {
    /// A text that is written.
    #[must_use]
    pub fn inline(text: &str) -> Text {
        Text::Inline(Secret(text.to_owned()))
    }
}

/// How the Authorization header comes to be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Authorization {
    /// `basic_auth`
    Basic {
        /// User.
        username: Text,
        /// Password.
        password: Text,
    },
    /// `authorization`
    Scheme {
        /// Its first word.
        name: String,
        /// The rest.
        credentials: Text,
    },
    /// `oauth2`
    OAuth2(Box<OAuth2>),
}

/// `oauth2`: a token is asked of a server by client credentials (RFC 6749, section 4.4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OAuth2 {
    /// `client_id`
    pub client_id: String,
    /// `client_secret` or its file.
    pub client_secret: Text,
    /// `scopes`
    pub scopes: Vec<String>,
    /// `token_url`
    pub token_url: String,
    /// `endpoint_params`, in order of name.
    pub endpoint_params: Vec<(String, Secret)>,
    /// `tls_config` of the token server.
    pub tls: TlsOptions,
    /// How the token server is reached.
    pub proxy: ProxyOptions,
}

/// A version of TLS. The older two are known by name only: no server is reached by them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// `TLS10`
    Tls10,
    /// `TLS11`
    Tls11,
    /// `TLS12`
    Tls12,
    /// `TLS13`
    Tls13,
}

impl TlsVersion {
    /// The version of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<TlsVersion> {
        match name {
            "TLS10" => Some(TlsVersion::Tls10),
            "TLS11" => Some(TlsVersion::Tls11),
            "TLS12" => Some(TlsVersion::Tls12),
            "TLS13" => Some(TlsVersion::Tls13),
            _ => None,
        }
    }
}

/// `tls_config`
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsOptions {
    /// `ca` or `ca_file`: certificates that are trusted instead of the system's, as PEM.
    pub ca: Option<Text>,
    /// `cert` and `key`, or their files: who we are, as PEM. Both or none.
    pub identity: Option<(Text, Text)>,
    /// `server_name`: the name that the certificate must be for, instead of the address's.
    pub server_name: Option<String>,
    /// `insecure_skip_verify`
    pub insecure_skip_verify: bool,
    /// `min_version`
    pub min_version: Option<TlsVersion>,
    /// `max_version`
    pub max_version: Option<TlsVersion>,
}

/// `proxy_url` and its like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ProxyOptions {
    /// By which proxy.
    pub choice: ProxyChoice,
    /// `proxy_connect_header`: sent to the proxy with CONNECT, in order of name.
    pub connect_headers: Vec<(String, Secret)>,
}

/// Which proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum ProxyChoice {
    /// None.
    #[default]
    Direct,
    /// `proxy_url`, and what `no_proxy` exempts from it.
    Url {
        /// `http://` URL, maybe with user and password.
        url: Secret,
        /// Hosts, domains and networks that are reached directly, separated by commas.
        no_proxy: String,
    },
    /// `proxy_from_environment`: HTTP_PROXY, HTTPS_PROXY and NO_PROXY.
    Environment,
}

/// One header of `http_headers`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Header {
    /// Name.
    pub name: String,
    /// Value.
    pub value: Text,
    /// Whether the value is a credential, so that no other host gets it.
    pub is_secret: bool,
}

/// `http_config`: everything of it, defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HttpOptions {
    /// `basic_auth`, `authorization` or `oauth2`.
    pub authorization: Option<Authorization>,
    /// `tls_config`
    pub tls: TlsOptions,
    /// `proxy_url` and its like.
    pub proxy: ProxyOptions,
    /// `http_headers`, in the order written.
    pub headers: Vec<Header>,
    /// `follow_redirects`. Default true.
    pub follow_redirects: bool,
    /// `enable_http2`. Default true.
    pub http2: bool,
}

impl Default for HttpOptions {
    fn default() -> HttpOptions {
        HttpOptions {
            authorization: None,
            tls: TlsOptions::default(),
            proxy: ProxyOptions::default(),
            headers: Vec::new(),
            follow_redirects: true,
            http2: true,
        }
    }
}

impl HttpOptions {
    /// Whether a request over plain HTTP needs none of it but the redirects.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.authorization.is_none()
            && self.headers.is_empty()
            && self.proxy.choice == ProxyChoice::Direct
    }

    /// The options, to be shared.
    #[must_use]
    pub fn shared(self) -> Arc<HttpOptions> {
        Arc::new(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let options = HttpOptions {
            authorization: Some(Authorization::Basic {
                username: Text::inline("user"),
                password: Text::inline("hunter2"),
            }),
            proxy: ProxyOptions {
                choice: ProxyChoice::Url {
                    url: Secret("http://u:hunter2@p".to_owned()),
                    no_proxy: String::new(),
                },
                connect_headers: vec![("X".to_owned(), Secret("hunter2".to_owned()))],
            },
            ..HttpOptions::default()
        };
        let shown = format!("{options:?}");
        assert!(!shown.contains("hunter2") && shown.contains("<secret>"), "{shown}");
    }
}
