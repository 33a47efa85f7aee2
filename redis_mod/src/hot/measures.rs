//! The measures of a series: names in the order in which they first appeared.

use series::prefetch;

/// Measures a series may have.
pub const MAX_MEASURES: usize = 256;

/// Bytes of a measure's name.
pub const MAX_NAME: usize = 128;

#[derive(Debug, Clone, Default)]
pub struct Measures {
    names: Vec<Box<str>>,
    /// See [`Measures::fingerprint`].
    fingerprint: u32,
}

impl Measures {
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// Asks for the memory of the list.
    #[inline]
    pub fn prefetch(&self) {
        prefetch::slice(&self.names);
    }

    /// The positions of all measures.
    pub fn all(&self) -> Vec<usize> {
        (0..self.names.len()).collect()
    }

    /// Position of a name. Samples name their measures in the same order every time, so `guess` mostly hits.
    #[inline]
    pub fn find(&self, name: &[u8], guess: usize) -> Option<usize> {
        match self.names.get(guess) {
            Some(known) if known.as_bytes() == name => Some(guess),
            _ => self.names.iter().position(|known| known.as_bytes() == name),
        }
    }

    /// A number that differs, almost surely, if names or their order differ (FNV-1a, Fowler, Noll, Vo).
    pub fn fingerprint(&self) -> u32 {
        self.fingerprint
    }

    /// Appends a name and returns its position.
    pub fn push(&mut self, name: &str) -> usize {
        // the byte 0xff is in no name: it keeps the names apart
        let bytes = name.bytes().chain([0xff]);
        self.fingerprint =
            bytes.fold(self.fingerprint, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        self.names.push(name.into());
        self.names.len() - 1
    }

    /// Forgets the names after the first `count`.
    #[cold]
    pub fn truncate(&mut self, count: usize) {
        if count < self.names.len() {
            let mut names = std::mem::take(&mut self.names);
            names.truncate(count);
            *self = Measures::default();
            names.iter().for_each(|name| {
                self.push(name);
            });
        }
    }

    pub fn heap_bytes(&self) -> usize {
        self.names.capacity() * size_of::<Box<str>>() + self.names.iter().map(|name| name.len()).sum::<usize>()
    }
}
