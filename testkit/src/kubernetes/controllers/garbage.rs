//! Owner references: what has lost all its owners goes, and deletions that wait for dependents or let them
//! live are carried out.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;

use super::super::object::{self, items, str_of};
use super::super::resource::Resource;
use super::super::writes::{DeleteOptions, Target, delete, edit};
use super::Pass;

type Found = (&'static Resource, Arc<Value>);

pub(super) fn pass(pass: &mut Pass<'_>) {
    let alive: HashSet<String> = pass.store.all().map(|(_, o)| object::uid(o).to_owned()).collect();
    let owned: Vec<Found> = pass
        .store
        .all()
        .filter(|(_, o)| !object::is_empty(&o["metadata"]["ownerReferences"]))
        .map(|(resource, o)| (resource, Arc::clone(o)))
        .collect();
    collect_orphans(pass, &owned, &alive);
    let owners: Vec<Found> = pass
        .store
        .all()
        .filter(|(_, o)| {
            object::is_deleting(o)
                && (object::has_finalizer(o, "orphan") || object::has_finalizer(o, "foregroundDeletion"))
        })
        .map(|(resource, o)| (resource, Arc::clone(o)))
        .collect();
    for (resource, owner) in owners {
        let of_owner = owned.iter().filter(|(_, o)| refers_to(o, object::uid(&owner)));
        if object::has_finalizer(&owner, "orphan") {
            for (kind, dependent) in of_owner {
                edit(pass.store, kind, dependent, |o| {
                    drop_references(o, |r| r["uid"] == owner["metadata"]["uid"]);
                });
            }
            edit(pass.store, resource, &owner, |o| {
                object::remove_finalizer(o, "orphan");
            });
            continue;
        }
        let mut blocked = false;
        for (kind, dependent) in of_owner {
            if pass.store.get_uid(kind, dependent).is_none() {
                continue;
            }
            blocked |= items(&dependent["metadata"]["ownerReferences"])
                .any(|r| r["uid"] == owner["metadata"]["uid"] && r["blockOwnerDeletion"] == true);
            remove(pass, kind, dependent);
        }
        if !blocked {
            edit(pass.store, resource, &owner, |o| {
                object::remove_finalizer(o, "foregroundDeletion");
            });
        }
    }
}

fn collect_orphans(pass: &mut Pass<'_>, owned: &[Found], alive: &HashSet<String>) {
    for (resource, object) in owned {
        let absent = |reference: &Value| {
            // Of a kind that isn't served here nothing can be said.
            Resource::of_kind(str_of(reference, "apiVersion"), str_of(reference, "kind")).is_some()
                && !alive.contains(str_of(reference, "uid"))
        };
        let references = &object["metadata"]["ownerReferences"];
        if items(references).all(absent) {
            remove(pass, resource, object);
        } else if items(references).any(absent) {
            edit(pass.store, resource, object, |o| drop_references(o, absent));
        }
    }
}

fn refers_to(object: &Value, uid: &str) -> bool {
    items(&object["metadata"]["ownerReferences"]).any(|r| r["uid"] == uid)
}

fn drop_references(object: &mut Value, drop: impl Fn(&Value) -> bool) {
    let left: Vec<Value> = items(&object["metadata"]["ownerReferences"])
        .filter(|r| !drop(r))
        .cloned()
        .collect();
    object::set_or_remove(&mut object["metadata"], "ownerReferences", left.into());
}

fn remove(pass: &mut Pass<'_>, resource: &'static Resource, object: &Value) {
    if object::is_deleting(object) || pass.store.get_uid(resource, object).is_none() {
        return;
    }
    let options = DeleteOptions {
        propagation_policy: Some("Background".into()),
        ..DeleteOptions::default()
    };
    if let Err(error) = delete(pass.store, &Target::of(resource, object), &options, pass.now) {
        tracing::debug!(%error, "a dependent stays");
    }
}
