//! The scenarios, one a file.

pub(crate) mod agree;
pub(crate) mod crash;
pub(crate) mod disturbed;
pub(crate) mod host;
pub(crate) mod overhead;
pub(crate) mod power;
pub(crate) mod differ;
pub(crate) mod hostile;
pub(crate) mod reload;
pub(crate) mod scrape;
pub(crate) mod slots;
pub(crate) mod hostile_queries;
pub(crate) mod queries;
pub(crate) mod disk;
pub(crate) mod punctual;
pub(crate) mod start;
pub(crate) mod growth;
pub(crate) mod push;
