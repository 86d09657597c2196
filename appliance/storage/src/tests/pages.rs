//! Selections that come in pages.

use model::matcher::MatchOp;
use model::samples::Samples;
use model::time::TimestampMs;

use crate::cells::Cell;
use crate::options::Options;
use crate::row::Rank;
use crate::selection::{SelectError, SelectedSeries, TileCache};
use crate::tests::world::{START_MS, World, request};

const NAMES: [&str; 3] = ["a", "b", "c"];

fn scrape(world: &mut World, number: i64) {
    let cells = NAMES.map(|name| (name, Cell::Present(number as f64)));
    world.row(1, START_MS + number * 1000, Rank::Owner, &cells).unwrap();
}

fn values(world: &World, series: &SelectedSeries) -> Vec<f64> {
    let mut found = Samples::default();
    let (after, until) = (TimestampMs::MIN, TimestampMs::MAX);
    let mut cache = TileCache::default();
    series.decode(&world.disk, &mut cache, after, until, &mut found).unwrap();
    found.values
}

#[test]
fn pages_give_each_series_once_as_the_first_page_found_its_target() {
    let mut world = World::new(Options { tile_rows: 4, ..Options::default() });
    scrape(&mut world, 0);
    scrape(&mut world, 1);
    let wanted = request("__name__", MatchOp::Regex, ".+");
    let first = world.store.select_page(&wanted, None, 2).unwrap();
    assert_eq!(first.series.len(), 2);
    // The target goes on: its tile is sealed and reaches the disk, and another one begins.
    for number in 2..6 {
        scrape(&mut world, number);
    }
    world.settle();
    let second = world.store.select_page(&wanted, first.rest.clone(), 2).unwrap();
    assert!(second.rest.is_none());
    let both: Vec<_> = first.series.iter().chain(&second.series).collect();
    let names: Vec<_> = both.iter().map(|series| series.labels.get("__name__").unwrap()).collect();
    assert_eq!(names, NAMES);
    for series in both {
        assert_eq!(values(&world, series), [0.0, 1.0], "{}", series.labels);
    }
    let anew = world.store.select(&wanted).unwrap();
    assert_eq!(values(&world, &anew.series[2]).len(), 6);
}

#[test]
fn the_bound_of_series_counts_all_pages() {
    let mut world = World::new(Options::default());
    scrape(&mut world, 0);
    let mut wanted = request("__name__", MatchOp::Regex, ".+");
    wanted.series_max = 2;
    let first = world.store.select_page(&wanted, None, 2).unwrap();
    let second = world.store.select_page(&wanted, first.rest, 2);
    assert_eq!(second.unwrap_err(), SelectError::TooManySeries { series_max: 2 });
}
