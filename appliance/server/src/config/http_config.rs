//! HTTP config: the fields by which jobs, discovery and others are reached over HTTP.
//!
//! Path: section whose table has the fields `HTTP` → **http_config** → `HttpOptions`.
//! Source: `HTTPClientConfig.Validate` of Prometheus's `common/config`.
//!
//! An empty text counts as none, as upstream has it.

use std::path::Path;

use model::label_name::quote;
use scrape::http_options::{
    Authorization, Header, HttpOptions, OAuth2, ProxyChoice, ProxyOptions, Secret, Text,
    TlsOptions, TlsVersion,
};

use crate::config::fault::Fault;
use crate::config::fields::http::{AUTHORIZATION, BASIC_AUTH, HEADER, OAUTH2, TLS_CONFIG};
use crate::config::section::{Findings, Section, scalar_text, texts_of};
use crate::config::tree::{Kind, Node};

/// Headers that upstream sets itself and refuses in `http_headers`.
const RESERVED: [&str; 24] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "accept",
    "accept-charset",
    "cookie",
    "expect",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-amz-date",
];

/// The options that `section` writes; relative paths start at `directory`.
pub fn read(section: &Section<'_>, directory: &Path, findings: &mut Findings) -> HttpOptions {
    let defaults = HttpOptions::default();
    let mut reader = Reader { directory, findings };
    let authorization = reader.authorization(section);
    let tls = reader.tls(section);
    let proxy = reader.proxy(section);
    let headers = reader.headers(section);
    let mut flag = |name, default| section.boolean(name, findings).unwrap_or(default);
    HttpOptions {
        authorization,
        tls,
        proxy,
        headers,
        follow_redirects: flag("follow_redirects", defaults.follow_redirects),
        http2: flag("enable_http2", defaults.http2),
    }
}

struct Reader<'a> {
    directory: &'a Path,
    findings: &'a mut Findings,
}

impl Reader<'_> {
    fn wrong(&mut self, section: &Section<'_>, text: impl Into<String>) {
        self.findings.push(Fault::wrong(section.place, text).secret());
    }

    fn text<'s>(&mut self, section: &Section<'s>, name: &str) -> Option<&'s str> {
        section.text(name, self.findings).filter(|text| !text.is_empty())
    }

    /// One of two fields: the text, or the file it lies in; both are refused as `both`.
    fn either(
        &mut self,
        section: &Section<'_>,
        inline: &str,
        file: &str,
        both: &str,
    ) -> Option<Text> {
        let written = self.text(section, inline).map(Text::inline);
        let lies = self.text(section, file).map(|path| Text::File(self.directory.join(path)));
        if written.is_some() && lies.is_some() {
            self.wrong(section, both);
        }
        written.or(lies)
    }

    fn authorization(&mut self, section: &Section<'_>) -> Option<Authorization> {
        let scheme = self.scheme(section);
        let basic = self.basic(section);
        let oauth2 = self.oauth2(section);
        let both = "at most one of bearer_token & bearer_token_file must be configured";
        let token = self.either(section, "bearer_token", "bearer_token_file", both);
        let others = usize::from(basic.is_some()) + usize::from(oauth2.is_some());
        if token.is_some() && 0 < others {
            let names = "basic_auth, oauth2, bearer_token & bearer_token_file";
            self.wrong(section, format!("at most one of {names} must be configured"));
        }
        if token.is_some() && scheme.is_some() {
            let text = "authorization is not compatible with bearer_token & bearer_token_file";
            self.wrong(section, text);
        }
        if 1 < others + usize::from(scheme.is_some()) {
            let names = "basic_auth, oauth2 & authorization";
            self.wrong(section, format!("at most one of {names} must be configured"));
        }
        let bearer = |credentials| Authorization::Scheme { name: "Bearer".into(), credentials };
        basic.or(scheme).or(oauth2).or(token.map(bearer))
    }

    fn basic(&mut self, section: &Section<'_>) -> Option<Authorization> {
        let basic = Section::open(section.get("basic_auth")?, &BASIC_AUTH, self.findings);
        let both = |field| {
            format!(
                "at most one of basic_auth {field}, {field}_file & {field}_ref must be configured"
            )
        };
        let username = self.either(&basic, "username", "username_file", &both("username"));
        let password = self.either(&basic, "password", "password_file", &both("password"));
        Some(Authorization::Basic {
            username: username.unwrap_or_else(|| Text::inline("")),
            password: password.unwrap_or_else(|| Text::inline("")),
        })
    }

    fn scheme(&mut self, section: &Section<'_>) -> Option<Authorization> {
        let own = Section::open(section.get("authorization")?, &AUTHORIZATION, self.findings);
        let name = self.text(&own, "type").map_or("", str::trim);
        let name = if name.is_empty() { "Bearer" } else { name };
        if name.eq_ignore_ascii_case("basic") {
            let text = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
            self.findings.push(Fault::wrong(own.place_of("type"), text));
        }
        let both = "at most one of authorization credentials & credentials_file must be configured";
        let credentials = self.either(&own, "credentials", "credentials_file", both);
        let credentials = credentials.unwrap_or_else(|| Text::inline(""));
        Some(Authorization::Scheme { name: name.to_owned(), credentials })
    }

    fn oauth2(&mut self, section: &Section<'_>) -> Option<Authorization> {
        let own = Section::open(section.get("oauth2")?, &OAUTH2, self.findings);
        for required in ["client_id", "token_url"] {
            if self.text(&own, required).is_none() {
                self.wrong(&own, format!("oauth2 {required} must be configured"));
            }
        }
        let both = "at most one of oauth2 client_secret, client_secret_file & client_secret_ref \
                    must be configured";
        let client_secret = self.either(&own, "client_secret", "client_secret_file", both);
        let mut endpoint_params = Vec::new();
        for (key, value) in own.map("endpoint_params", self.findings) {
            let (Some(name), Some(value)) = (scalar_text(key), scalar_text(value)) else {
                self.wrong(&own, "endpoint_params must be a map of texts");
                continue;
            };
            endpoint_params.push((name.to_owned(), Secret(value.to_owned())));
        }
        endpoint_params.sort_by(|(a, _), (b, _)| a.cmp(b));
        Some(Authorization::OAuth2(Box::new(OAuth2 {
            client_id: self.text(&own, "client_id").unwrap_or_default().to_owned(),
            client_secret: client_secret.unwrap_or_else(|| Text::inline("")),
            scopes: own.texts("scopes", self.findings),
            token_url: self.text(&own, "token_url").unwrap_or_default().to_owned(),
            endpoint_params,
            tls: self.tls(&own),
            proxy: self.proxy(&own),
        })))
    }

    fn tls(&mut self, section: &Section<'_>) -> TlsOptions {
        let Some(node) = section.get("tls_config") else { return TlsOptions::default() };
        read_tls(node, self.directory, self.findings)
    }

    fn proxy(&mut self, section: &Section<'_>) -> ProxyOptions {
        let url = self.text(section, "proxy_url");
        let no_proxy = self.text(section, "no_proxy");
        let asked = section.boolean("proxy_from_environment", self.findings);
        let from_environment = asked.unwrap_or(false);
        let connect_headers = self.connect_headers(section);
        if !connect_headers.is_empty() && !from_environment && url.is_none() {
            let text = "if proxy_connect_header is configured, proxy_url or \
                        proxy_from_environment must also be configured";
            self.wrong(section, text);
        }
        if from_environment {
            for (given, field) in [(url, "proxy_url"), (no_proxy, "no_proxy")] {
                if given.is_some() {
                    let text = format!(
                        "if proxy_from_environment is configured, {field} must not be configured"
                    );
                    self.wrong(section, text);
                }
            }
        } else if url.is_none() && no_proxy.is_some() {
            self.wrong(section, "if no_proxy is configured, proxy_url must also be configured");
        }
        let choice = match url {
            _ if from_environment => ProxyChoice::Environment,
            None => ProxyChoice::Direct,
            Some(url) => {
                self.check_proxy_url(section, url);
                let no_proxy = no_proxy.unwrap_or_default().to_owned();
                ProxyChoice::Url { url: Secret(url.to_owned()), no_proxy }
            }
        };
        ProxyOptions { choice, connect_headers }
    }

    fn check_proxy_url(&mut self, section: &Section<'_>, url: &str) {
        let place = section.place_of("proxy_url");
        let fault = match url.split_once("://") {
            Some(("http", rest)) if !rest.is_empty() => return,
            Some((scheme @ ("https" | "socks5" | "socks5h"), _)) => Fault::unsupported(
                place,
                format!("scheme {scheme} of field proxy_url"),
                "use a proxy that is reached over http",
            ),
            _ => Fault::wrong(place, "proxy_url must be a URL that begins with http://"),
        };
        self.findings.push(fault.secret());
    }

    fn connect_headers(&mut self, section: &Section<'_>) -> Vec<(String, Secret)> {
        let mut headers = Vec::new();
        for (key, value) in section.map("proxy_connect_header", self.findings) {
            let Some(name) = self.header_name(key) else { continue };
            let Kind::List(items) = &value.kind else {
                self.findings.push(
                    Fault::wrong(value.place, "proxy_connect_header must be a map of lists")
                        .secret(),
                );
                continue;
            };
            let values = texts_of(items, self.findings);
            headers.extend(values.into_iter().map(|value| (name.to_owned(), Secret(value))));
        }
        headers.sort_by(|(a, _), (b, _)| a.cmp(b));
        headers
    }

    fn header_name<'n>(&mut self, key: &'n Node) -> Option<&'n str> {
        let name = scalar_text(key).filter(|name| !name.is_empty() && name.bytes().all(is_token));
        if name.is_none() {
            self.findings.push(Fault::wrong(key.place, "invalid name of a header"));
        }
        name
    }

    fn headers(&mut self, section: &Section<'_>) -> Vec<Header> {
        let mut headers = Vec::new();
        for (key, value) in section.map("http_headers", self.findings) {
            let Some(name) = self.header_name(key) else { continue };
            if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
                let text = format!("setting header {} is not allowed", quote(name));
                self.findings.push(Fault::wrong(key.place, text));
                continue;
            }
            let own = Section::open(value, &HEADER, self.findings);
            let mut add = |value: Text, is_secret| {
                headers.push(Header { name: name.to_owned(), value, is_secret });
            };
            for text in own.texts("values", self.findings) {
                add(Text::inline(&text), false);
            }
            for text in own.texts("secrets", self.findings) {
                add(Text::inline(&text), true);
            }
            for path in own.texts("files", self.findings) {
                add(Text::File(self.directory.join(path)), true);
            }
        }
        headers
    }
}

/// The `tls_config` at `node`.
pub fn read_tls(node: &Node, directory: &Path, findings: &mut Findings) -> TlsOptions {
    let own = Section::open(node, &TLS_CONFIG, findings);
    let mut reader = Reader { directory, findings };
    let ca = reader.either(
        &own,
        "ca",
        "ca_file",
        "at most one of ca, ca_file & ca_ref must be configured",
    );
    let cert = reader.either(
        &own,
        "cert",
        "cert_file",
        "at most one of cert, cert_file & cert_ref must be configured",
    );
    let key = reader.either(
        &own,
        "key",
        "key_file",
        "at most one of key and key_file must be configured",
    );
    match (&cert, &key) {
        (Some(_), None) => reader.wrong(
            &own,
            "exactly one of key or key_file must be configured when a client certificate is \
             configured",
        ),
        (None, Some(_)) => reader.wrong(
            &own,
            "exactly one of cert or cert_file must be configured when a client key is configured",
        ),
        _ => {}
    }
    let server_name = reader.text(&own, "server_name").map(str::to_owned);
    let min_version = version(&own, "min_version", findings);
    let max_version = version(&own, "max_version", findings);
    if let (Some(min), Some(max)) = (min_version, max_version)
        && max < min
    {
        let text = "tls_config.max_version must be greater than or equal to \
                    tls_config.min_version if both are specified";
        findings.push(Fault::wrong(own.place_of("max_version"), text));
    }
    if max_version.is_some_and(|max| max < TlsVersion::Tls12) {
        let remedy = "use TLS12 or TLS13: older versions are not spoken";
        let what = "value of field max_version";
        findings.push(Fault::unsupported(own.place_of("max_version"), what, remedy));
    }
    TlsOptions {
        ca,
        identity: cert.zip(key),
        server_name,
        insecure_skip_verify: own.boolean("insecure_skip_verify", findings).unwrap_or(false),
        min_version,
        max_version,
    }
}

fn version(section: &Section<'_>, name: &str, findings: &mut Findings) -> Option<TlsVersion> {
    let text = section.text(name, findings)?;
    let version = TlsVersion::find(text);
    match version {
        None => {
            let fault = format!("unknown TLS version: {text}");
            findings.push(Fault::wrong(section.place_of(name), fault));
        }
        Some(version) if name == "min_version" && version < TlsVersion::Tls12 => {
            let notice =
                format!("tls_config.min_version {text}: the oldest version spoken is TLS12");
            findings.notices.push(notice);
        }
        Some(_) => {}
    }
    version
}

/// Characters of a header's name (RFC 9110, token).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::field::Table;
    use crate::config::fields::http::HTTP;
    use crate::config::tree::parse;

    static ONLY_HTTP: Table =
        Table { title: "http", type_name: "config.plain", doc: "", parts: &[HTTP] };

    fn load(text: &str) -> (HttpOptions, Findings) {
        let mut findings = Findings::default();
        let node = parse(text).expect("YAML");
        let section = Section::open(&node, &ONLY_HTTP, &mut findings);
        let options = read(&section, Path::new("/etc/p"), &mut findings);
        (options, findings)
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let (_, findings) = load(text);
        let texts: Vec<String> = findings
            .faults
            .iter()
            .map(|fault| format!("{} {}", fault.text, fault.remedy).trim().to_owned())
            .chain(findings.notices.iter().cloned())
            .collect();
        assert_eq!(texts.join("\n"), expected, "{text}");
    }

    #[test]
    fn nothing_written_is_the_default() {
        let (options, findings) = load("basic_auth:\ntls_config: {}\nbearer_token: ''\n");
        assert_eq!((options, findings.faults.len()), (HttpOptions::default(), 0));
    }

    #[test]
    fn everything_is_read() {
        let (options, findings) = load(
            "oauth2:
  client_id: me
  client_secret_file: s
  scopes: [a, b]
  token_url: https://t/token
  endpoint_params: {z: 1, b: 2}
  tls_config: {ca_file: ca.pem}
  proxy_url: http://p:1
tls_config:
  {cert: C, key_file: k.pem, server_name: n, insecure_skip_verify: true, min_version: TLS13}
proxy_url: http://q:2
no_proxy: localhost,10.0.0.0/8
proxy_connect_header: {X-B: [1, 2], X-A: [3]}
http_headers: {X-H: {values: [v], secrets: [s], files: [f]}}
follow_redirects: false
enable_http2: no
",
        );
        assert_eq!(findings.faults, []);
        let Some(Authorization::OAuth2(oauth2)) = &options.authorization else { panic!("oauth2") };
        assert_eq!(oauth2.client_secret, Text::File("/etc/p/s".into()));
        let names: Vec<&str> = oauth2.endpoint_params.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["b", "z"]);
        assert_eq!(oauth2.tls.ca, Some(Text::File("/etc/p/ca.pem".into())));
        let identity = (Text::inline("C"), Text::File("/etc/p/k.pem".into()));
        assert_eq!(options.tls.identity, Some(identity));
        assert_eq!(options.tls.min_version, Some(TlsVersion::Tls13));
        let names: Vec<&str> =
            options.proxy.connect_headers.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["X-A", "X-B", "X-B"]);
        let secret: Vec<bool> = options.headers.iter().map(|header| header.is_secret).collect();
        assert_eq!(secret, [false, true, true]);
        assert!(!options.follow_redirects && !options.http2);
    }

    #[test]
    fn what_excludes_one_another_is_refused() {
        check(
            "basic_auth: {username: a}\noauth2: {client_id: a, token_url: b}",
            "at most one of basic_auth, oauth2 & authorization must be configured",
        );
        check(
            "basic_auth: {username: a}\nbearer_token: b",
            "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be \
             configured",
        );
        check(
            "authorization: {credentials: a}\nbearer_token_file: b",
            "authorization is not compatible with bearer_token & bearer_token_file",
        );
        check(
            "bearer_token: a\nbearer_token_file: b",
            "at most one of bearer_token & bearer_token_file must be configured",
        );
        check(
            "basic_auth: {password: a, password_file: b}",
            "at most one of basic_auth password, password_file & password_ref must be configured",
        );
        check(
            "authorization: {type: BASIC, credentials: a}",
            "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
        );
        check("oauth2: {client_id: a}", "oauth2 token_url must be configured");
        check("oauth2: {token_url: a}", "oauth2 client_id must be configured");
        check(
            "oauth2: {client_id: a, token_url: b, grant_type: jwt}",
            "unsupported value \"jwt\" of field grant_type \
             use client_credentials: grants by JWT are not done",
        );
    }

    #[test]
    fn certificates_come_with_keys_and_versions_are_known() {
        check(
            "tls_config: {cert_file: a}",
            "exactly one of key or key_file must be configured when a client certificate is \
             configured",
        );
        check(
            "tls_config: {key: a}",
            "exactly one of cert or cert_file must be configured when a client key is configured",
        );
        check(
            "tls_config: {ca: a, ca_file: b}",
            "at most one of ca, ca_file & ca_ref must be configured",
        );
        check("tls_config: {min_version: TLS14}", "unknown TLS version: TLS14");
        check(
            "tls_config: {min_version: TLS13, max_version: TLS12}",
            "tls_config.max_version must be greater than or equal to tls_config.min_version if \
             both are specified",
        );
        check(
            "tls_config: {min_version: TLS10}",
            "tls_config.min_version TLS10: the oldest version spoken is TLS12",
        );
        check(
            "tls_config: {max_version: TLS11}",
            "unsupported value of field max_version use TLS12 or TLS13: older versions are not \
             spoken",
        );
    }

    #[test]
    fn proxies_are_checked() {
        check("no_proxy: a", "if no_proxy is configured, proxy_url must also be configured");
        check(
            "proxy_from_environment: true\nproxy_url: http://a",
            "if proxy_from_environment is configured, proxy_url must not be configured",
        );
        check(
            "proxy_connect_header: {A: [b]}",
            "if proxy_connect_header is configured, proxy_url or proxy_from_environment must also \
             be configured",
        );
        check("proxy_url: a:3128", "proxy_url must be a URL that begins with http://");
        check(
            "proxy_url: socks5://a",
            "unsupported scheme socks5 of field proxy_url use a proxy that is reached over http",
        );
        check("http_headers: {Host: {values: [a]}}", "setting header \"Host\" is not allowed");
    }
}
