//! The measures of a series: names in the order in which they first appeared.
//!
//! The series of a source mostly have the same ones. Such a list is held once: it saves memory, and it stays in the
//! processor's cache while one series after the other is written.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// Measures a series may have.
pub const MAX_MEASURES: usize = 256;

/// Bytes of a measure's name.
pub const MAX_NAME: usize = 128;

#[derive(Debug, Clone, Default)]
pub struct Measures {
    list: Arc<List>,
}

#[derive(Debug, Default, PartialEq)]
struct List {
    names: Vec<Box<str>>,
    /// See [`Measures::fingerprint`].
    fingerprint: u32,
}

/// The lists that series have, by fingerprint. Of lists with the same fingerprint one is here.
static SHARED: LazyLock<Mutex<Shared>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Shared {
    lists: HashMap<u32, Weak<List>>,
    /// Lists that no series has any more are forgotten when there are this many.
    forget_at: usize,
}

impl Shared {
    fn share(&mut self, list: List) -> Arc<List> {
        if let Some(known) = self.lists.get(&list.fingerprint).and_then(Weak::upgrade)
            && *known == list
        {
            return known;
        }
        if self.lists.len() >= self.forget_at {
            self.lists.retain(|_, list| list.strong_count() > 0);
            self.forget_at = 2 * self.lists.len() + 16;
        }
        let list = Arc::new(list);
        self.lists.insert(list.fingerprint, Arc::downgrade(&list));
        list
    }
}

impl List {
    fn of<'a>(names: impl Iterator<Item = &'a str>) -> List {
        let names: Vec<Box<str>> = names.map(Into::into).collect();
        // the byte 0xff is in no name: it keeps the names apart
        let bytes = names.iter().flat_map(|name| name.bytes().chain([0xff]));
        let fingerprint = bytes.fold(0, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        List { names, fingerprint }
    }

    fn shared(self) -> Arc<List> {
        SHARED.lock().unwrap_or_else(PoisonError::into_inner).share(self)
    }

    fn heap_bytes(&self) -> usize {
        self.names.capacity() * size_of::<Box<str>>() + self.names.iter().map(|name| name.len()).sum::<usize>()
    }
}

impl Measures {
    #[inline]
    pub fn len(&self) -> usize {
        self.list.names.len()
    }

    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.list.names.iter().map(AsRef::as_ref)
    }

    /// The positions of all measures.
    pub fn all(&self) -> Vec<usize> {
        (0..self.len()).collect()
    }

    /// Position of a name. Samples name their measures in the same order every time, so `guess` mostly hits.
    #[inline]
    pub fn find(&self, name: &[u8], guess: usize) -> Option<usize> {
        let names = &self.list.names;
        match names.get(guess) {
            Some(known) if known.as_bytes() == name => Some(guess),
            _ => names.iter().position(|known| known.as_bytes() == name),
        }
    }

    /// A number that differs, almost surely, if names or their order differ (FNV-1a, Fowler, Noll, Vo).
    pub fn fingerprint(&self) -> u32 {
        self.list.fingerprint
    }

    /// Appends names.
    pub fn extend(&mut self, names: &[&str]) {
        self.list = List::of(self.names().chain(names.iter().copied())).shared();
    }

    /// Forgets the names after the first `count`.
    #[cold]
    pub fn truncate(&mut self, count: usize) {
        if count < self.len() {
            self.list = List::of(self.names().take(count)).shared();
        }
    }

    /// Bytes of the list, shared by the series that have it.
    pub fn heap_bytes(&self) -> usize {
        (size_of::<List>() + self.list.heap_bytes()) / Arc::strong_count(&self.list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measures(names: &[&str]) -> Measures {
        let mut measures = Measures::default();
        measures.extend(names);
        measures
    }

    #[test]
    fn equal_lists_are_held_once_however_they_came_about() {
        let whole = measures(&["shared_a", "shared_b"]);
        let mut grown = measures(&["shared_a"]);
        grown.extend(&["shared_b"]);
        assert!(Arc::ptr_eq(&whole.list, &grown.list));
        let mut cut = measures(&["shared_a", "shared_b", "shared_c"]);
        cut.truncate(2);
        assert!(Arc::ptr_eq(&whole.list, &cut.list));
        assert!(!Arc::ptr_eq(&whole.list, &measures(&["shared_b", "shared_a"]).list));
    }

    #[test]
    fn lists_of_the_same_fingerprint_stay_apart() {
        let mut shared = Shared::default();
        let list = |name: &str| List { names: vec![name.into()], fingerprint: 1 };
        let one = shared.share(list("one"));
        let two = shared.share(list("two"));
        assert_eq!((&one.names[0][..], &two.names[0][..]), ("one", "two"));
    }

    #[test]
    fn lists_that_no_series_has_are_forgotten() {
        let mut shared = Shared::default();
        let kept = shared.share(List { names: Vec::new(), fingerprint: 0 });
        for fingerprint in 1..1000 {
            shared.share(List { names: Vec::new(), fingerprint });
        }
        assert!(shared.lists.len() < 100);
        assert!(Arc::ptr_eq(&kept, &shared.share(List { names: Vec::new(), fingerprint: 0 })));
    }

    #[test]
    fn a_name_is_found_wherever_it_is_guessed() {
        let measures = measures(&["flow", "pressure"]);
        for guess in 0..3 {
            assert_eq!((measures.find(b"pressure", guess), measures.find(b"none", guess)), (Some(1), None));
        }
    }
}
