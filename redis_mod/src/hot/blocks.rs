//! The closed blocks of a series, oldest first.

use series::block::Block;
use series::time::Micros;
use std::ops::Deref;

/// Blocks that are made room for at a time: doubling would leave half of the room unused.
const AHEAD: usize = 8;

/// A list of blocks and the times that are asked of it all the time. Every write asks whether the first block has fallen to
/// the retention, and every question whether a range touches the blocks at all: with the times in the series itself, neither
/// waits for the list.
#[derive(Debug, Clone)]
pub struct Blocks {
    list: Vec<Block>,
    /// The times below have no meaning while the list is empty.
    first: Micros,
    /// Last time of the first block.
    first_end: Micros,
    last: Micros,
}

impl Blocks {
    /// First time of the first block.
    #[inline]
    pub fn first_time(&self) -> Option<Micros> {
        (!self.list.is_empty()).then_some(self.first)
    }

    /// Last time of the first block.
    #[inline]
    pub fn first_end(&self) -> Option<Micros> {
        (!self.list.is_empty()).then_some(self.first_end)
    }

    /// Last time of the last block.
    #[inline]
    pub fn last_time(&self) -> Option<Micros> {
        (!self.list.is_empty()).then_some(self.last)
    }

    /// The blocks that share a time with `from..=to`.
    pub fn between(&self, from: Micros, to: Micros) -> &[Block] {
        if self.list.is_empty() || self.last < from || self.first > to {
            return &[];
        }
        let start = self.list.partition_point(|block| block.last() < from);
        let end = self.list.partition_point(|block| block.first() <= to);
        &self.list[start..end.max(start)]
    }

    pub fn push(&mut self, block: Block) {
        self.insert(self.list.len(), block);
    }

    pub fn insert(&mut self, index: usize, block: Block) {
        if self.list.len() == self.list.capacity() {
            self.list.reserve_exact(AHEAD);
        }
        self.list.insert(index, block);
        self.note_times();
    }

    pub fn replace(&mut self, index: usize, block: Block) {
        self.list[index] = block;
        self.note_times();
    }

    /// Removes the first blocks and returns their number of rows.
    pub fn drop_first(&mut self, count: usize) -> usize {
        if count == 0 {
            return 0;
        }
        let rows = self.list.drain(..count).map(|block| block.rows()).sum();
        self.note_times();
        rows
    }

    pub fn data_mut(&mut self) -> impl Iterator<Item = &mut Box<[u8]>> {
        self.list.iter_mut().map(Block::data_mut)
    }

    /// Heap bytes; `allocated` says what the allocator spends on a slice.
    pub fn heap_bytes(&self, allocated: impl Fn(&[u8]) -> usize) -> usize {
        self.list.capacity() * size_of::<Block>() + self.list.iter().map(|block| allocated(block.data())).sum::<usize>()
    }

    fn note_times(&mut self) {
        if let [first, ..] = &self.list[..] {
            (self.first, self.first_end) = (first.first(), first.last());
            self.last = self.list.last().map_or(first.last(), Block::last);
        }
    }
}

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks::from(Vec::new())
    }
}

impl From<Vec<Block>> for Blocks {
    fn from(list: Vec<Block>) -> Blocks {
        let mut blocks = Blocks { list, first: 0, first_end: 0, last: 0 };
        blocks.note_times();
        blocks
    }
}

impl Deref for Blocks {
    type Target = [Block];

    fn deref(&self) -> &[Block] {
        &self.list
    }
}
