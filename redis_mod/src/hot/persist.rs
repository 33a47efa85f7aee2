//! The byte form of a whole series: in RDB files and DUMP payloads, and as the argument of STRATA.LOAD in a rewritten AOF.
//!
//! Format 1: version byte; the measures' names; mark, write counter, last flush; the late list (times as differences,
//! numbers of writes); the closed blocks' data, then the open rows as one more block, each with its length in front.
//! Kept buckets are not written: they follow from the data and are computed when it is read.
//!
//! Bytes that cannot be read stay what they are: see [`Series::unreadable`].
//!
//! Format 2 ends with the watches (measure and state each) and the alarms; format 1 ends before them.

use super::blocks::Blocks;
use super::open::OpenRows;
use super::read::Rows;
use super::watches::{Alarm, Watches};
use super::{MAX_MEASURES, MAX_NAME, OPEN_ROWS, Series, TIME_RANGE};
use series::block::Block;
use series::bytes::{DecodeError, Reader, put_f64s, put_text, put_varint, put_zigzag};
use series::detect::Method;
use series::time::Micros;
use series::watch::Watch;

/// The format this code writes, and the newest it reads.
pub const FORMAT: u8 = 2;

/// The oldest format this code reads.
const OLDEST: u8 = 1;

impl Series {
    /// The whole state; [`Series::decode`] gives back an equal one.
    pub fn encode(&self) -> Vec<u8> {
        if self.is_unreadable() {
            return self.blocks[0].data().to_vec();
        }
        let blocks: usize = self.blocks.iter().map(|block| block.data().len() + 4).sum();
        let mut out = Vec::with_capacity(64 + blocks + self.open.heap_bytes() / 2);
        out.push(FORMAT);
        put_varint(&mut out, self.measures.len() as u64);
        for name in self.measures() {
            put_text(&mut out, name);
        }
        put_zigzag(&mut out, self.mark);
        put_varint(&mut out, self.seq);
        put_zigzag(&mut out, self.flush_id);
        put_varint(&mut out, self.late.len() as u64);
        let mut previous = 0;
        for &(time, seq) in &self.late {
            put_zigzag(&mut out, time - previous);
            put_varint(&mut out, seq);
            previous = time;
        }
        let open = self.open_block();
        put_varint(&mut out, self.blocks.len() as u64);
        for block in self.blocks.iter() {
            put_block(&mut out, block.data());
        }
        put_block(&mut out, open.as_ref().map_or(&[], Block::data));
        put_watches(&mut out, &self.watches);
        out
    }

    /// Reads what [`Series::encode`] wrote. Every block is decoded once, so that a damaged one is found here.
    pub fn decode(bytes: &[u8]) -> Result<Series, DecodeError> {
        let mut reader = Reader::new(bytes);
        let format = reader.u8()?;
        if !(OLDEST..=FORMAT).contains(&format) {
            return Err(DecodeError::Version(format));
        }
        let mut series = Series::default();
        read_measures(&mut reader, &mut series)?;
        series.mark = reader.zigzag()?;
        series.seq = reader.varint()?;
        series.flush_id = reader.zigzag()?;
        series.late = read_late(&mut reader)?;
        let count = reader.count(1)?;
        for _ in 0..count {
            let block = series.read_block(&mut reader)?.ok_or(EMPTY_BLOCK)?;
            series.closed_rows += block.rows();
            series.blocks.push(block);
        }
        series.open.widen(series.measures.len());
        if let Some(block) = series.read_block(&mut reader)? {
            series.fill_open(&block)?;
        }
        if format >= 2 {
            series.watches = read_watches(&mut reader, series.measures.len())?;
        }
        reader.finish()?;
        series.rebuild_rollups()?;
        series.count_pending()?;
        Ok(series)
    }

    /// A series of bytes that [`Series::decode`] refuses. It may have samples of all times, so that every answer which needs
    /// some of them is an error, nothing can be written to it, acknowledged or dropped, and it is saved as it came. It counts as
    /// one sample that is pending, so that nobody takes it for empty.
    pub fn unreadable(bytes: &[u8]) -> Series {
        let block = Block::unreadable(bytes, *TIME_RANGE.start(), *TIME_RANGE.end());
        Series { blocks: Blocks::from(vec![block]), closed_rows: 1, pending_rows: 1, ..Series::default() }
    }

    /// Whether it is one of [`Series::unreadable`].
    pub fn is_unreadable(&self) -> bool {
        self.blocks.first().is_some_and(Block::is_unreadable)
    }

    fn open_block(&self) -> Option<Block> {
        if self.open.is_empty() {
            return None;
        }
        let mut rows = Rows::default();
        self.open.read(0..self.open.len(), &self.measures.all(), &mut rows);
        Some(Block::encode(&rows.times, &rows.columns))
    }

    /// The next block, which must be newer than those before and know no more measures than the series.
    fn read_block(&self, reader: &mut Reader<'_>) -> Result<Option<Block>, DecodeError> {
        let length = reader.count(1)?;
        if length == 0 {
            return Ok(None);
        }
        let block = Block::from_data(reader.take(length)?)?;
        let in_order = self.last().is_none_or(|last| block.first() > last);
        let in_range = TIME_RANGE.contains(&block.first()) && TIME_RANGE.contains(&block.last());
        if !in_order || !in_range || block.columns() > self.measures.len() {
            return Err(DecodeError::Invalid("a block does not fit its series"));
        }
        Ok(Some(block))
    }

    fn fill_open(&mut self, block: &Block) -> Result<(), DecodeError> {
        if block.rows() > OPEN_ROWS {
            self.closed_rows += block.rows();
            self.blocks.push(block.clone());
            return Ok(());
        }
        let mut rows = Rows::default();
        rows.read_block(block, &self.measures.all())?;
        self.open = OpenRows::default();
        self.open.widen(self.measures.len());
        for (row, &time) in rows.times.iter().enumerate() {
            self.open.push(time);
            for (measure, column) in rows.columns.iter().enumerate() {
                self.open.set(row, measure, column[row]);
            }
        }
        Ok(())
    }
}

const EMPTY_BLOCK: DecodeError = DecodeError::Invalid("a closed block without data");

fn put_block(out: &mut Vec<u8>, data: &[u8]) {
    put_varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

fn read_measures(reader: &mut Reader<'_>, series: &mut Series) -> Result<(), DecodeError> {
    let count = reader.count(1)?;
    if count > MAX_MEASURES {
        return Err(DecodeError::Invalid("too many measures"));
    }
    let mut names: Vec<&str> = Vec::with_capacity(count);
    for _ in 0..count {
        let name = reader.text()?;
        if name.is_empty() || name.len() > MAX_NAME || names.contains(&name) {
            return Err(DecodeError::Invalid("a measure's name"));
        }
        names.push(name);
    }
    series.measures.extend(&names);
    Ok(())
}

fn read_late(reader: &mut Reader<'_>) -> Result<Vec<(Micros, u64)>, DecodeError> {
    let count = reader.count(2)?;
    let mut late: Vec<(Micros, u64)> = Vec::with_capacity(count);
    let mut previous: Micros = 0;
    for _ in 0..count {
        let time = previous.wrapping_add(reader.zigzag()?);
        let sorted = late.last().is_none_or(|&(last, _)| time > last);
        if !sorted || !TIME_RANGE.contains(&time) {
            return Err(DecodeError::Invalid("the late list"));
        }
        late.push((time, reader.varint()?));
        previous = time;
    }
    Ok(late)
}

fn put_watches(out: &mut Vec<u8>, watches: &Watches) {
    put_varint(out, watches.iter().count() as u64);
    for (measure, watch) in watches.iter() {
        put_varint(out, measure as u64);
        put_block(out, &watch.save());
    }
    put_varint(out, watches.alarms().len() as u64);
    for alarm in watches.alarms() {
        put_varint(out, alarm.measure as u64);
        put_zigzag(out, alarm.time);
        put_f64s(out, &[alarm.value, alarm.score, alarm.expected, alarm.lower, alarm.upper]);
        put_text(out, alarm.method);
        put_text(out, &alarm.reason);
    }
}

fn read_watches(reader: &mut Reader<'_>, measures: usize) -> Result<Watches, DecodeError> {
    let mut watches = Watches::default();
    for _ in 0..reader.count(2)? {
        let measure = read_measure(reader, measures)?;
        let length = reader.count(1)?;
        watches.set(measure, Some(Watch::restore(reader.take(length)?)?));
    }
    for _ in 0..reader.count(2)? {
        let measure = read_measure(reader, measures)?;
        let time = reader.zigzag()?;
        let mut numbers = [0.0; 5];
        for number in &mut numbers {
            *number = reader.f64()?;
        }
        let [value, score, expected, lower, upper] = numbers;
        let method = Method::parse(reader.text()?).map_err(|_| DecodeError::Invalid("the method of an alarm"))?.name();
        let reason = reader.text()?.to_owned();
        watches.keep(Alarm { measure, time, value, score, expected, lower, upper, method, reason });
    }
    Ok(watches)
}

fn read_measure(reader: &mut Reader<'_>, measures: usize) -> Result<usize, DecodeError> {
    let measure = reader.varint()?;
    usize::try_from(measure).ok().filter(|&measure| measure < measures).ok_or(DecodeError::Invalid("a watched measure"))
}
