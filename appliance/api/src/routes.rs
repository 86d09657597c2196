//! Routes: every path, its methods, when it answers and where it runs.

use crate::call::Endpoint;
use crate::{
    active_endpoints, admin_endpoints, export_endpoints, federate_endpoint, metadata_endpoints,
    query_endpoints, read_endpoint, rule_endpoints, series_endpoints, status_endpoints,
    target_endpoints,
};

/// Methods that a path answers. OPTIONS is answered wherever cross-origin headers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Methods {
    /// GET
    Get,
    /// GET and HEAD
    GetHead,
    /// GET and POST
    GetPost,
    /// POST
    Post,
    /// POST and PUT; GET is told so.
    PostPut,
    /// POST and PUT of the API.
    Change,
    /// DELETE
    Delete,
    /// DELETE, POST and PUT
    Push,
}

impl Methods {
    /// Value of the Allow header.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Methods::Get => "GET, OPTIONS",
            Methods::GetHead => "GET, HEAD",
            Methods::GetPost => "GET, OPTIONS, POST",
            Methods::Post => "OPTIONS, POST",
            Methods::PostPut => "POST, PUT",
            Methods::Change => "OPTIONS, POST, PUT",
            Methods::Delete => "DELETE, OPTIONS",
            Methods::Push => "DELETE, OPTIONS, POST, PUT",
        }
    }

    /// Whether `method` is one of them.
    #[must_use]
    pub fn contain(self, method: &str) -> bool {
        match self {
            Methods::Get => method == "GET",
            Methods::GetHead => matches!(method, "GET" | "HEAD"),
            Methods::GetPost => matches!(method, "GET" | "POST"),
            Methods::Post => method == "POST",
            Methods::PostPut | Methods::Change => matches!(method, "POST" | "PUT"),
            Methods::Delete => method == "DELETE",
            Methods::Push => matches!(method, "DELETE" | "POST" | "PUT"),
        }
    }
}

/// Where an endpoint runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the service thread: it never waits.
    Service,
    /// On a thread that may wait for shards.
    Ask,
    /// On a query thread, after its turn in the queue.
    Query,
    /// The same, after its turn among those that last as long as their readers.
    Stream,
}

/// One path.
pub struct Route {
    /// The path as axum matches it.
    pub path: &'static str,
    /// The path as upstream's metrics name it.
    pub handler: &'static str,
    /// Which methods it answers.
    pub methods: Methods,
    /// Whether it answers only when the server is ready.
    pub gated: bool,
    /// Where it runs.
    pub place: Place,
    /// What it does.
    pub endpoint: Endpoint,
}

const READ_PATH: &str = "/api/v1/read";

impl Route {
    /// Whether the body is no form, but what the endpoint reads.
    #[must_use]
    pub fn reads_body(&self) -> bool {
        self.path == READ_PATH
    }

    /// The part of `path` that varies, undecoded; "" for a fixed path, `None` where it is not of
    /// this form.
    #[must_use]
    pub fn part_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((before, rest)) = self.path.split_once('{') else { return Some("") };
        let (_, after) = rest.split_once('}')?;
        path.strip_prefix(before)?.strip_suffix(after)
    }
}

const fn route(
    path: &'static str,
    methods: Methods,
    gated: bool,
    place: Place,
    endpoint: Endpoint,
) -> Route {
    Route { path, handler: path, methods, gated, place, endpoint }
}

/// Every route.
pub const ROUTES: &[Route] = &[
    route("/api/v1/query", Methods::GetPost, true, Place::Query, query_endpoints::query),
    route(
        "/api/v1/query_range",
        Methods::GetPost,
        true,
        Place::Query,
        query_endpoints::query_range,
    ),
    route(
        "/api/v1/format_query",
        Methods::GetPost,
        true,
        Place::Query,
        query_endpoints::format_query,
    ),
    route(
        "/api/v1/parse_query",
        Methods::GetPost,
        true,
        Place::Query,
        query_endpoints::parse_query,
    ),
    route(
        "/api/v1/query_exemplars",
        Methods::GetPost,
        true,
        Place::Ask,
        metadata_endpoints::query_exemplars,
    ),
    route("/api/v1/series", Methods::GetPost, true, Place::Query, series_endpoints::series),
    route(READ_PATH, Methods::Post, true, Place::Stream, read_endpoint::read),
    route("/api/v1/export", Methods::GetPost, true, Place::Stream, export_endpoints::json),
    route("/api/v1/export/csv", Methods::GetPost, true, Place::Stream, export_endpoints::csv),
    route(
        "/api/v1/export/openmetrics",
        Methods::GetPost,
        true,
        Place::Stream,
        export_endpoints::openmetrics,
    ),
    route("/federate", Methods::Get, true, Place::Stream, federate_endpoint::federate),
    route("/api/v1/labels", Methods::GetPost, true, Place::Query, series_endpoints::labels),
    Route {
        path: "/api/v1/label/{name}/values",
        handler: "/api/v1/label/:name/values",
        methods: Methods::Get,
        gated: true,
        place: Place::Query,
        endpoint: series_endpoints::label_values,
    },
    route("/api/v1/targets", Methods::Get, true, Place::Ask, target_endpoints::targets),
    route(
        "/api/v1/targets/relabel_steps",
        Methods::Get,
        true,
        Place::Service,
        target_endpoints::relabel_steps,
    ),
    route(
        "/api/v1/scrape_pools",
        Methods::Get,
        true,
        Place::Service,
        target_endpoints::scrape_pools,
    ),
    route(
        "/api/v1/scrape_pools/config",
        Methods::Get,
        true,
        Place::Service,
        target_endpoints::scrape_pool_config,
    ),
    route(
        "/api/v1/targets/metadata",
        Methods::Get,
        true,
        Place::Ask,
        metadata_endpoints::targets_metadata,
    ),
    route("/api/v1/metadata", Methods::Get, true, Place::Ask, metadata_endpoints::metadata),
    route("/api/v1/rules", Methods::Get, true, Place::Service, rule_endpoints::rules),
    route("/api/v1/alerts", Methods::Get, true, Place::Service, rule_endpoints::alerts),
    route(
        "/api/v1/alertmanagers",
        Methods::Get,
        true,
        Place::Service,
        status_endpoints::alertmanagers,
    ),
    route(
        "/api/v1/notifications",
        Methods::Get,
        false,
        Place::Service,
        status_endpoints::notifications,
    ),
    route(
        "/api/v1/status/buildinfo",
        Methods::Get,
        true,
        Place::Service,
        status_endpoints::buildinfo,
    ),
    route("/api/v1/status/config", Methods::Get, true, Place::Service, status_endpoints::config),
    route("/api/v1/status/flags", Methods::Get, true, Place::Service, status_endpoints::flags),
    route(
        "/api/v1/status/runtimeinfo",
        Methods::Get,
        true,
        Place::Ask,
        status_endpoints::runtimeinfo,
    ),
    route("/api/v1/status/tsdb", Methods::Get, true, Place::Ask, status_endpoints::tsdb),
    route("/api/v1/status/tsdb/blocks", Methods::Get, true, Place::Ask, status_endpoints::blocks),
    route(
        "/api/v1/status/self_metrics",
        Methods::Get,
        true,
        Place::Ask,
        status_endpoints::self_metrics,
    ),
    route("/api/v1/features", Methods::Get, true, Place::Service, status_endpoints::features),
    route("/api/v1/openapi.yaml", Methods::Get, true, Place::Service, status_endpoints::openapi),
    route("/api/v1/status/queries", Methods::Get, true, Place::Service, active_endpoints::queries),
    Route {
        path: "/api/v1/status/queries/{id}",
        handler: "/api/v1/status/queries/:id",
        methods: Methods::Delete,
        gated: true,
        place: Place::Service,
        endpoint: active_endpoints::kill,
    },
    route(
        "/api/v1/status/walreplay",
        Methods::Get,
        false,
        Place::Service,
        status_endpoints::walreplay,
    ),
    route(
        "/api/v1/admin/tsdb/delete_series",
        Methods::Change,
        true,
        Place::Ask,
        admin_endpoints::delete_series,
    ),
    route(
        "/api/v1/admin/tsdb/clean_tombstones",
        Methods::Change,
        true,
        Place::Ask,
        admin_endpoints::clean_tombstones,
    ),
    route(
        "/api/v1/admin/tsdb/snapshot",
        Methods::Change,
        true,
        Place::Ask,
        admin_endpoints::snapshot,
    ),
    route("/metrics", Methods::Get, false, Place::Ask, status_endpoints::metrics),
    route("/metrics/host", Methods::Get, false, Place::Ask, status_endpoints::metrics_host),
    route("/version", Methods::Get, false, Place::Service, status_endpoints::version),
    route("/-/healthy", Methods::GetHead, false, Place::Service, status_endpoints::healthy),
    route("/-/ready", Methods::GetHead, true, Place::Service, status_endpoints::ready),
    route("/-/reload", Methods::PostPut, false, Place::Ask, status_endpoints::reload),
    route("/-/quit", Methods::PostPut, false, Place::Service, status_endpoints::quit),
    route("/", Methods::Get, false, Place::Service, status_endpoints::page),
];
