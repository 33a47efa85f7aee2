//! Dynamic shared memory that processes of one server hand to each other by number. It also works where the library is not
//! preloaded.

use pgrx::pg_sys;
use std::ffi::c_void;

/// One side of the memory, which lives as long as one of its sides.
pub struct Segment {
    segment: *mut pg_sys::dsm_segment,
}

/// What is called when a side goes, also with its process.
pub type DetachCallback = unsafe extern "C-unwind" fn(*mut pg_sys::dsm_segment, pg_sys::Datum);

impl Segment {
    /// Memory of zeros; `None` if the server has as many segments as it can.
    pub fn create(size: usize) -> Option<Self> {
        // SAFETY: the memory has the size asked for, and nobody else knows it yet.
        unsafe {
            let segment = pg_sys::dsm_create(size, pg_sys::DSM_CREATE_NULL_IF_MAXSEGMENTS as i32);
            if segment.is_null() {
                return None;
            }
            pg_sys::dsm_segment_address(segment).write_bytes(0, size);
            Some(Self { segment })
        }
    }

    /// `None` if all other sides are gone.
    pub fn attach(handle: u32) -> Option<Self> {
        // SAFETY: takes a number; a segment that is gone gives null.
        let segment = unsafe { pg_sys::dsm_attach(handle) };
        (!segment.is_null()).then(|| Self { segment })
    }

    pub fn handle(&self) -> u32 {
        // SAFETY: the segment is attached as long as `self`.
        unsafe { pg_sys::dsm_segment_handle(self.segment) }
    }

    /// Page aligned, valid as long as `self`.
    pub fn address(&self) -> *mut c_void {
        address_of(self.segment)
    }

    pub fn at_detach(&self, callback: DetachCallback) {
        // SAFETY: the segment is attached, and the callback is a static function.
        unsafe { pg_sys::on_dsm_detach(self.segment, Some(callback), pg_sys::Datum::from(0)) }
    }
}

/// Where an attached segment begins.
pub fn address_of(segment: *mut pg_sys::dsm_segment) -> *mut c_void {
    // SAFETY: whoever has the pointer has the segment attached.
    unsafe { pg_sys::dsm_segment_address(segment) }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: attached by this value and detached once.
        unsafe { pg_sys::dsm_detach(self.segment) }
    }
}
