//! Reads per-CPU maps.

use aya::Ebpf;
use aya::Pod;
use aya::maps::{MapData, PerCpuArray, PerCpuHashMap};

/// Keys read of one map at most; the programs' maps hold fewer.
const KEYS_MAX: usize = 8192;

/// Words of element `index`, one array a possible CPU.
pub(crate) fn element<const N: usize>(ebpf: &Ebpf, map: &str, index: u32) -> Vec<[u64; N]> {
    let Some(found) = ebpf.map(map) else { return Vec::new() };
    let Ok(array) = PerCpuArray::<&MapData, [u64; N]>::try_from(found) else { return Vec::new() };
    array.get(&index, 0).map(|values| values.to_vec()).unwrap_or_default()
}

/// Words of element `index`, added up over the CPUs.
pub(crate) fn total<const N: usize>(ebpf: &Ebpf, map: &str, index: u32) -> [u64; N] {
    add(&element(ebpf, map, index))
}

/// Keys and words of a hash, added up over the CPUs, in order of key.
pub(crate) fn totals<K: Pod + Ord, const N: usize>(ebpf: &Ebpf, map: &str) -> Vec<(K, [u64; N])> {
    let all = elements::<K, N>(ebpf, map).into_iter();
    let mut all: Vec<(K, [u64; N])> = all.map(|(key, values)| (key, add(&values))).collect();
    all.sort_unstable_by_key(|(key, _)| *key);
    all
}

/// Keys and words of a hash, one array a possible CPU.
pub(crate) fn elements<K: Pod, const N: usize>(ebpf: &Ebpf, map: &str) -> Vec<(K, Vec<[u64; N]>)> {
    let Some(found) = ebpf.map(map) else { return Vec::new() };
    let Ok(hash) = PerCpuHashMap::<&MapData, K, [u64; N]>::try_from(found) else {
        return Vec::new();
    };
    let read = hash.iter().take(KEYS_MAX).flatten();
    read.map(|(key, values)| (key, values.to_vec())).collect()
}

/// Takes keys out of a hash; one that is gone already is no fault.
pub(crate) fn forget<K: Pod, const N: usize>(ebpf: &mut Ebpf, map: &str, keys: &[K]) {
    let Some(found) = ebpf.map_mut(map) else { return };
    let Ok(mut hash) = PerCpuHashMap::<&mut MapData, K, [u64; N]>::try_from(found) else { return };
    for key in keys {
        let _ = hash.remove(key);
    }
}

fn add<const N: usize>(values: &[[u64; N]]) -> [u64; N] {
    let mut sum = [0u64; N];
    for value in values {
        for (sum, more) in sum.iter_mut().zip(value) {
            *sum = sum.wrapping_add(*more);
        }
    }
    sum
}
