//! Access: all that a request needs besides its address, made of options, files and tokens.
//!
//! Never: gives what a file no longer holds.

use std::sync::Arc;

use scrape::http_options::{Authorization, HttpOptions};
use tokio::time::Instant;

use crate::headers::{self, AUTHORIZATION, Headers};
use crate::proxy::Proxies;
use crate::tls::{self, Material, Tls};
use crate::token::Tokens;

/// What a request needs besides its address.
#[derive(Clone, Debug)]
pub struct Access {
    /// Headers of the configuration, credentials apart.
    pub headers: Headers,
    /// TLS, for https.
    pub tls: Arc<Tls>,
    /// Proxies.
    pub proxies: Arc<Proxies>,
    /// When it may no longer be used; `None` when nothing of it ever changes.
    pub until: Until,
}

/// How long an access is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// For ever: nothing of it lies in files.
    Always,
    /// For one use: files may change.
    Once,
    /// Until then, when the token is to be replaced.
    Tick(Instant),
}

/// Makes the access of some options, again and again.
#[derive(Debug)]
pub struct Keeper {
    options: Arc<HttpOptions>,
    tls: Option<(Material, Arc<Tls>)>,
    proxies: Option<Arc<Proxies>>,
    tokens: Tokens,
}

impl Keeper {
    /// A keeper that has read nothing.
    #[must_use]
    pub fn new(options: Arc<HttpOptions>) -> Keeper {
        Keeper { options, tls: None, proxies: None, tokens: Tokens::default() }
    }

    /// The options.
    #[must_use]
    pub fn options(&self) -> &Arc<HttpOptions> {
        &self.options
    }

    /// The access as of this moment: files read, a token asked for where the last one is used up.
    ///
    /// # Errors
    /// Why there is none, in words for `lastError`.
    pub async fn access(&mut self) -> Result<Access, String> {
        let material = Material::read(&self.options.tls)?;
        let tls = match self.tls.take().filter(|(known, _)| *known == material) {
            Some((_, tls)) => tls,
            None => Arc::new(Tls::new(&self.options.tls, &material)?),
        };
        self.tls = Some((material, Arc::clone(&tls)));
        let proxies = match &self.proxies {
            Some(proxies) => Arc::clone(proxies),
            None => {
                let variable = |name: &str| std::env::var(name).ok();
                let proxies = Arc::new(Proxies::new(&self.options.proxy, variable)?);
                self.proxies.insert(proxies).clone()
            }
        };
        let mut headers = Headers::read(&self.options)?;
        let mut until = Until::Always;
        if !headers::is_immutable(&self.options) || !tls::is_immutable(&self.options.tls) {
            until = Until::Once;
        }
        if let Some(Authorization::OAuth2(oauth2)) = &self.options.authorization {
            let value = self.tokens.header(oauth2).await?;
            headers.secret.push((AUTHORIZATION.to_owned(), value));
            if until == Until::Always {
                until = self.tokens.replace_at().map_or(Until::Always, Until::Tick);
            }
        }
        Ok(Access { headers, tls, proxies, until })
    }
}
