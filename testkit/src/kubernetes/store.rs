//! Objects, the one resource version that counts every write, and the window of history that watches
//! continue from.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::watch;

use super::object;
use super::resource::{RESOURCES, Resource};

/// What a watch is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One write.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) resource: &'static Resource,
    pub(crate) change: Change,
    pub(crate) object: Arc<Value>,
    /// The object before it, to tell when it leaves or enters a selector.
    pub(crate) previous: Option<Arc<Value>>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    resource: usize,
    namespace: String,
    name: String,
}

fn key(resource: &Resource, namespace: &str, name: &str) -> Key {
    Key {
        resource: resource.index,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// All state of the cluster.
#[derive(Debug)]
pub(crate) struct Store {
    version: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    history: VecDeque<Event>,
    history_limit: usize,
    /// Nothing at or below this version can be continued from.
    compacted: u64,
    changed: watch::Sender<u64>,
}

impl Store {
    pub(crate) fn new(history_limit: usize) -> Self {
        Self {
            version: 1,
            objects: BTreeMap::new(),
            history: VecDeque::new(),
            history_limit,
            compacted: 0,
            changed: watch::Sender::new(1),
        }
    }

    /// The version of the last write.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Wakes after every write.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.objects.get(&key(resource, namespace, name))
    }

    /// The object with this uid, if it is still there under this name.
    pub(crate) fn get_uid(&self, resource: &Resource, of: &Value) -> Option<&Arc<Value>> {
        self.get(resource, object::namespace(of), object::name(of))
            .filter(|found| object::uid(found) == object::uid(of))
    }

    /// Objects of a kind by namespace and name; all namespaces with `None`.
    pub(crate) fn list<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Value>> + use<'a> {
        let index = resource.index;
        let first = key(resource, namespace.unwrap_or_default(), "");
        self.objects
            .range((Bound::Included(first), Bound::Unbounded))
            .take_while(move |(key, _)| {
                key.resource == index && namespace.is_none_or(|wanted| key.namespace == wanted)
            })
            .map(|(_, object)| object)
    }

    /// Every object.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static Resource, &Arc<Value>)> {
        self.objects
            .iter()
            .map(|(key, object)| (RESOURCES[key.resource], object))
    }

    /// Writes an object under a new version.
    pub(crate) fn put(&mut self, resource: &'static Resource, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Arc::new(object);
        let key = key(resource, object::namespace(&object), object::name(&object));
        let previous = self.objects.insert(key, Arc::clone(&object));
        let change = if previous.is_some() {
            Change::Modified
        } else {
            Change::Added
        };
        self.record(Event {
            version: self.version,
            resource,
            change,
            object: Arc::clone(&object),
            previous,
        });
        object
    }

    /// Takes an object away; the last state of it carries the version of its deletion.
    pub(crate) fn remove(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        let previous = self.objects.remove(&key(resource, namespace, name))?;
        self.version += 1;
        let mut last = (*previous).clone();
        last["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Arc::new(last);
        self.record(Event {
            version: self.version,
            resource,
            change: Change::Deleted,
            object: Arc::clone(&object),
            previous: Some(previous),
        });
        Some(object)
    }

    fn record(&mut self, event: Event) {
        self.history.push_back(event);
        while self.history.len() > self.history_limit {
            if let Some(oldest) = self.history.pop_front() {
                self.compacted = oldest.version;
            }
        }
        self.changed.send_replace(self.version);
    }

    /// Forgets the history: whoever continues from an earlier version is told that it is gone.
    pub(crate) fn compact(&mut self) {
        self.history.clear();
        self.compacted = self.version;
        self.changed.send_replace(self.version);
    }

    /// Whether a watch can continue after this version.
    pub(crate) fn can_continue_from(&self, version: u64) -> bool {
        version >= self.compacted
    }

    /// The writes after this version, oldest first.
    pub(crate) fn since(&self, version: u64) -> impl Iterator<Item = &Event> {
        let first = self.history.partition_point(|event| event.version <= version);
        self.history.range(first..)
    }

    /// Puts objects back as they were, for a start with a snapshot.
    pub(crate) fn restore(&mut self, objects: Vec<(&'static Resource, Value)>) {
        for (resource, object) in objects {
            let kept = object["metadata"]["resourceVersion"]
                .as_str()
                .and_then(|v| v.parse().ok());
            self.version = self.version.max(kept.unwrap_or(0));
            self.put(resource, object);
        }
    }
}
