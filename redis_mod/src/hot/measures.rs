//! The measures of a series: names in the order in which they first appeared.

/// Measures a series may have.
pub const MAX_MEASURES: usize = 256;

/// Bytes of a measure's name.
pub const MAX_NAME: usize = 128;

#[derive(Debug, Clone, Default)]
pub struct Measures {
    names: Vec<Box<str>>,
}

impl Measures {
    pub fn len(&self) -> usize {
        self.names.len()
    }

    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
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

    /// Appends a name and returns its position.
    pub fn push(&mut self, name: &str) -> usize {
        self.names.push(name.into());
        self.names.len() - 1
    }

    pub fn heap_bytes(&self) -> usize {
        self.names.capacity() * size_of::<Box<str>>() + self.names.iter().map(|name| name.len()).sum::<usize>()
    }
}
