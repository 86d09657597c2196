//! Worker: a named thread whose end can be waited for with a deadline.

use std::io;
use std::thread::Builder;

use crossbeam::channel::bounded;

use crate::handle::Worker;

/// Starts `body` on a thread called `name`.
///
/// # Errors
/// The system has no thread left.
pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<Worker> {
    let (alive, ended) = bounded::<()>(0);
    let thread = Builder::new().name(name.to_owned()).spawn(move || {
        // Dropped also when the body panics: then the join tells.
        let _alive = alive;
        body();
    })?;
    Ok(Worker { name: name.to_owned(), thread, ended })
}
