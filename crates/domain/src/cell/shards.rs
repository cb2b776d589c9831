//! A map in copy-on-write shards: freezing it copies a thousand pointers, not the content.
//! Promise: iteration is in a fixed order; a frozen copy never changes.
//! Not here: what is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A key that knows its shard.
pub trait ShardKey: Ord + Clone {
    /// A number whose low bits choose the shard; the same on every replica.
    fn shard(&self) -> u64;
}

/// A map of `Arc`ed values in `Arc`ed shards.
#[derive(Debug, Clone)]
pub struct Shards<K, V> {
    shards: Vec<Arc<BTreeMap<K, Arc<V>>>>,
    len: usize,
}

impl<K: ShardKey, V: Clone> Shards<K, V> {
    /// An empty map with `count` shards, a power of two.
    pub fn new(count: usize) -> Self {
        assert!(count.is_power_of_two(), "a shard is found by a mask");
        Self {
            shards: vec![Arc::default(); count],
            len: 0,
        }
    }

    fn at(&self, key: &K) -> usize {
        (key.shard() as usize) & (self.shards.len() - 1)
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&Arc<V>> {
        self.shards[self.at(key)].get(key)
    }

    /// The value of a key, made this map's own.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.at(key);
        Arc::make_mut(&mut self.shards[at])
            .get_mut(key)
            .map(Arc::make_mut)
    }

    /// Puts a value.
    pub fn insert(&mut self, key: K, value: Arc<V>) {
        let at = self.at(&key);
        if Arc::make_mut(&mut self.shards[at])
            .insert(key, value)
            .is_none()
        {
            self.len += 1;
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &K) -> Option<Arc<V>> {
        let at = self.at(key);
        if !self.shards[at].contains_key(key) {
            return None;
        }
        let removed = Arc::make_mut(&mut self.shards[at]).remove(key);
        self.len -= usize::from(removed.is_some());
        removed
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All values, shard by shard, in a shard by key.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &Arc<V>)> {
        self.shards.iter().flat_map(|shard| shard.iter())
    }

    /// How many shards there are.
    pub fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// The values of one shard, by key.
    pub fn shard_values(&self, shard: usize) -> impl Iterator<Item = &Arc<V>> {
        self.shards
            .get(shard)
            .into_iter()
            .flat_map(|found| found.values())
    }
}

impl<K: ShardKey, V: PartialEq + Clone> PartialEq for Shards<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.shards == other.shards
    }
}
