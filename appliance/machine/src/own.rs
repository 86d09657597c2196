//! Own: pages of this process, given to its own scrapes without a socket.
//!
//! Path: the server has pages → **own** → `access` gives them to `client`.
//! No load of others keeps a scrape of this process by itself away: it needs no connection.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use scrape::fetch::{FetchFault, FetchRequest};

use crate::mailbox::Elsewhere;

/// A page under way.
pub type Page = Pin<Box<dyn Future<Output = Result<Elsewhere, FetchFault>> + Send>>;

/// Pages of this process.
pub trait OwnPages: Send + Sync {
    /// Whether `request` asks for one of them.
    fn has(&self, request: &FetchRequest) -> bool;
    /// The page that `request` asks for.
    fn page(&self, request: Arc<FetchRequest>) -> Page;
}

/// The pages, once there are any; cheap to clone.
#[derive(Clone, Default)]
pub struct Own(Arc<OnceLock<Arc<dyn OwnPages>>>);

impl Own {
    /// Has these pages given from now on; the first wins.
    pub fn serve(&self, pages: Arc<dyn OwnPages>) {
        let _ = self.0.set(pages);
    }

    /// The pages, where they have what `request` asks for.
    #[must_use]
    pub fn of(&self, request: &FetchRequest) -> Option<&Arc<dyn OwnPages>> {
        self.0.get().filter(|pages| pages.has(request))
    }
}
