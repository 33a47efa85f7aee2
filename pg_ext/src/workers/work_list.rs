//! The sources of a run, handed out one by one to the processes that work on it, and what became of each.

use super::outcome::{JobError, JobOutcome};
use super::process;
use super::segment::{Segment, address_of};
use super::shared::MAX_PLACES;
use pgrx::{pg_guard, pg_sys};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, Ordering};

/// Processes beside the leader.
pub const MAX_PARTS: usize = MAX_PLACES - 1;

/// Bytes for what became of a source.
const OUTCOME: usize = 2048;

/// The segment begins with this; the items follow.
#[repr(C)]
struct Head {
    items: AtomicU32,
    next: AtomicU32,
    /// 1: nothing is handed out any more.
    over: AtomicU32,
    /// Pids of the parts, 0 where there is none.
    parts: [AtomicI32; MAX_PARTS],
}

#[repr(C)]
struct Item {
    source_id: AtomicI32,
    /// Of the outcome; 0: there is none.
    length: AtomicU32,
    outcome: [AtomicU8; OUTCOME],
}

/// One process's side of the list.
pub struct WorkList {
    segment: Segment,
}

/// A source that was handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its place in the list.
    pub place: usize,
    pub source_id: i32,
}

impl WorkList {
    /// The leader's side; when it goes, with its process or before, the parts are dismissed. `None` if the server has no
    /// shared memory left for it.
    pub fn create(source_ids: &[i32]) -> Option<Self> {
        let segment = Segment::create(size_of::<Head>() + source_ids.len() * size_of::<Item>())?;
        let list = Self { segment };
        list.head().items.store(u32::try_from(source_ids.len()).ok()?, Ordering::Release);
        for (item, &source_id) in list.items().iter().zip(source_ids) {
            item.source_id.store(source_id, Ordering::Release);
        }
        list.segment.at_detach(leader_detached);
        Some(list)
    }

    /// The side of part `number`; `None` if there is nothing to do for it any more.
    pub fn join(handle: u32, number: usize) -> Option<Self> {
        let list = Self { segment: Segment::attach(handle)? };
        list.head().parts.get(number)?.store(process::my_pid(), Ordering::SeqCst);
        list.segment.at_detach(part_detached);
        // a leader that goes looks for parts after it has said so
        (!list.head().is_over()).then_some(list)
    }

    pub fn handle(&self) -> u32 {
        self.segment.handle()
    }

    /// Hands out the next source; each is handed out once.
    pub fn take(&self) -> Option<Taken> {
        if self.head().is_over() {
            return None;
        }
        let place = self.head().next.fetch_add(1, Ordering::SeqCst) as usize;
        let item = self.items().get(place)?;
        Some(Taken { place, source_id: item.source_id.load(Ordering::Acquire) })
    }

    /// Tells the leader what became of a source.
    pub fn report(&self, taken: Taken, outcome: &Result<JobOutcome, JobError>) {
        let Some(item) = self.items().get(taken.place) else { return };
        let text = to_text(outcome);
        text.bytes().zip(&item.outcome).for_each(|(byte, place)| place.store(byte, Ordering::Relaxed));
        item.length.store(u32::try_from(text.len()).unwrap_or(0), Ordering::Release);
    }

    /// What a part reported of the source at this place.
    pub fn outcome(&self, place: usize) -> Option<Result<JobOutcome, JobError>> {
        let item = self.items().get(place)?;
        let length = item.length.load(Ordering::Acquire) as usize;
        let text: Vec<u8> = item.outcome.iter().take(length).map(|byte| byte.load(Ordering::Relaxed)).collect();
        from_text(&text)
    }

    /// Hands out nothing any more, and has the parts cancel what they do.
    pub fn dismiss(&self) {
        self.head().dismiss();
    }

    fn head(&self) -> &Head {
        // SAFETY: zeros are a head, which only has atomics; the memory is as large and mapped as long as `self`.
        unsafe { &*self.segment.address().cast::<Head>() }
    }

    fn items(&self) -> &[Item] {
        let count = self.head().items.load(Ordering::Acquire) as usize;
        // SAFETY: `create` made room for that many after the head, whose size is a multiple of their alignment; zeros are
        // items, which only have atomics.
        unsafe { std::slice::from_raw_parts(self.segment.address().cast::<Head>().add(1).cast::<Item>(), count) }
    }
}

impl Head {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst) != 0
    }

    fn dismiss(&self) {
        self.over.store(1, Ordering::SeqCst);
        let parts = self.parts.iter().map(|part| part.load(Ordering::SeqCst));
        parts.filter(|pid| *pid != process::my_pid()).for_each(process::cancel);
    }
}

/// # Safety
/// The segment is attached and begins with a head.
unsafe fn head_of<'a>(segment: *mut pg_sys::dsm_segment) -> &'a Head {
    // SAFETY: as promised.
    unsafe { &*address_of(segment).cast::<Head>() }
}

#[pg_guard]
unsafe extern "C-unwind" fn leader_detached(segment: *mut pg_sys::dsm_segment, _arg: pg_sys::Datum) {
    // SAFETY: PostgreSQL calls back with the segment that is being detached.
    unsafe { head_of(segment) }.dismiss();
}

#[pg_guard]
unsafe extern "C-unwind" fn part_detached(segment: *mut pg_sys::dsm_segment, _arg: pg_sys::Datum) {
    let pid = process::my_pid();
    // SAFETY: as above.
    let parts = &unsafe { head_of(segment) }.parts;
    let mine = |part: &&AtomicI32| part.load(Ordering::SeqCst) == pid;
    parts.iter().filter(mine).for_each(|part| part.store(0, Ordering::SeqCst));
}

#[derive(Serialize, Deserialize)]
enum Outcome {
    Done { rows: i64, bytes: i64, bigquery_job_id: Option<String>, message: Option<String> },
    Failed { sqlstate: String, message: String, detail: Option<String>, hint: Option<String> },
}

/// At most `OUTCOME` bytes, for which long texts are cut.
fn to_text(outcome: &Result<JobOutcome, JobError>) -> String {
    let texts = [usize::MAX, 500, 100].map(|longest| cut_to_text(outcome, longest));
    texts.into_iter().find(|text| text.len() <= OUTCOME).unwrap_or_default()
}

fn cut_to_text(outcome: &Result<JobOutcome, JobError>, longest: usize) -> String {
    let cut = |text: &str| match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    let cut_option = |text: &Option<String>| text.as_deref().map(cut);
    let outcome = match outcome {
        Ok(outcome) => Outcome::Done {
            rows: outcome.rows,
            bytes: outcome.bytes,
            bigquery_job_id: cut_option(&outcome.bigquery_job_id),
            message: cut_option(&outcome.message),
        },
        Err(error) => Outcome::Failed {
            sqlstate: error.sqlstate.clone(),
            message: cut(&error.message),
            detail: cut_option(&error.detail),
            hint: cut_option(&error.hint),
        },
    };
    serde_json::to_string(&outcome).unwrap_or_default()
}

fn from_text(text: &[u8]) -> Option<Result<JobOutcome, JobError>> {
    Some(match serde_json::from_slice(text).ok()? {
        Outcome::Done { rows, bytes, bigquery_job_id, message } => {
            Ok(JobOutcome { rows, bytes, bigquery_job_id, message })
        }
        Outcome::Failed { sqlstate, message, detail, hint } => Err(JobError { sqlstate, message, detail, hint }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_survives_its_way_as_text() {
        let done = JobOutcome { rows: 7, bytes: 8, bigquery_job_id: None, message: Some("3 days".into()) };
        let failed =
            JobError { sqlstate: "57014".into(), message: "stop".into(), detail: None, hint: Some("h".into()) };
        for outcome in [Ok(done), Ok(JobOutcome::default()), Err(failed)] {
            assert_eq!(from_text(to_text(&outcome).as_bytes()), Some(outcome));
        }
    }

    #[test]
    fn a_long_outcome_is_cut_to_what_there_is_room_for() {
        for letter in ["é", "\u{1}", "x"] {
            let long = letter.repeat(3000);
            let error = JobError {
                sqlstate: "XX000".into(),
                message: long.clone(),
                detail: Some(long.clone()),
                hint: Some(long),
            };
            let text = to_text(&Err(error));
            assert!(text.len() <= OUTCOME, "{}", text.len());
            let error = from_text(text.as_bytes()).unwrap().unwrap_err();
            assert!(error.message.starts_with(letter) && error.message.ends_with('…'), "{}", error.message);
        }
    }

    #[test]
    fn no_outcome_is_none() {
        assert_eq!(from_text(b""), None);
    }
}
