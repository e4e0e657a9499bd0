//! How many streams of events a person may have open.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// Of one person.
pub(super) const OF_ONE: usize = 8;

/// Of all.
pub(super) const IN_ALL: usize = 128;

/// Open streams by person.
#[derive(Clone, Debug, Default)]
pub struct Streams(Arc<Mutex<HashMap<Arc<str>, usize>>>);

/// The place of one stream, given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    streams: Streams,
    name: Arc<str>,
}

impl Streams {
    /// A place, where there is one.
    pub(super) fn take(&self, name: &Arc<str>) -> Option<Place> {
        let mut open = self.0.lock();
        let own = open.get(name).copied().unwrap_or_default();
        if own >= OF_ONE || open.values().sum::<usize>() >= IN_ALL {
            return None;
        }
        open.insert(Arc::clone(name), own + 1);
        Some(Place { streams: self.clone(), name: Arc::clone(name) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.streams.0.lock();
        if let Some(own) = open.get_mut(&self.name) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                open.remove(&self.name);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_person_has_so_many_streams_and_all_have_so_many() {
        let (streams, alice) = (Streams::default(), Arc::from("alice"));
        let mut places: Vec<_> = (0..OF_ONE).map(|_| streams.take(&alice).unwrap()).collect();
        assert!(streams.take(&alice).is_none());
        places.pop();
        assert!(streams.take(&alice).is_some());
        places.push(streams.take(&alice).unwrap());
        for person in 0..IN_ALL / OF_ONE - 1 {
            places.extend((0..OF_ONE).map(|_| streams.take(&person.to_string().into()).unwrap()));
        }
        assert!(streams.take(&"one more".into()).is_none());
        drop(places);
        assert!(streams.0.lock().is_empty());
    }
}
