//! `strata.anomaly_score(value, time, method, options) OVER (…)`: a window function with one detector per partition.
//!
//! Each row is judged once, in the order of the window, also among rows of the same time: that is why it is no aggregate,
//! which would see all peers before it answers for the first of them.

use super::setting::Setting;
use crate::failure::{Failure, OrRaise, Result};
use crate::pg_time;
use pgrx::{FromDatum, IntoDatum, JsonB, PgMemoryContexts, PgSqlErrorCode, pg_guard, pg_sys};
use series::detect::AnyDetector;
use std::ffi::c_void;

// windowapi.h is not among the headers that pgrx binds.
unsafe extern "C-unwind" {
    fn WinGetPartitionLocalMemory(window: *mut WindowObject, size: usize) -> *mut c_void;
    fn WinGetCurrentPosition(window: *mut WindowObject) -> i64;
    fn WinSetMarkPosition(window: *mut WindowObject, position: i64);
    fn WinGetFuncArgCurrent(window: *mut WindowObject, argument: i32, is_null: *mut bool) -> pg_sys::Datum;
}

#[repr(C)]
struct WindowObject {
    _opaque: [u8; 0],
}

/// The window function's view of the row at hand.
struct Window(*mut WindowObject);

struct Row<'a> {
    /// False for the first row of a partition; the partition's memory starts out as zeros.
    partition_began: &'a mut bool,
    value: Option<f64>,
    time: Option<i64>,
}

impl Window {
    /// # Errors
    /// An internal error if the function is called as none of a window: a declaration other than ours.
    ///
    /// # Safety
    /// `fcinfo` is what PostgreSQL passed.
    unsafe fn of(fcinfo: pg_sys::FunctionCallInfo) -> Result<Self> {
        // SAFETY: fcinfo is valid for the call; its context is a node or null.
        let context = unsafe { (*fcinfo).context };
        // SAFETY: every node starts with its tag.
        if context.is_null() || unsafe { (*context).type_ } != pg_sys::NodeTag::T_WindowObjectData {
            return Err(Failure::new(
                PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
                "strata.anomaly_score was not called as a window function",
            )
            .hint("Write strata.anomaly_score(value, time) OVER (PARTITION BY key ORDER BY time)."));
        }
        Ok(Self(context.cast()))
    }

    /// The row at hand; rows before it need not be kept for this function.
    fn row(&self) -> Row<'_> {
        let (mut no_value, mut no_time) = (false, false);
        // SAFETY: the window lives through the call, the function has these arguments, and partition memory as large as a
        // bool holds nothing else; the boundary turns an ERROR into an unwinding panic.
        let (began, value, time) = unsafe {
            pg_sys::ffi::pg_guard_ffi_boundary(|| {
                WinSetMarkPosition(self.0, WinGetCurrentPosition(self.0));
                (
                    WinGetPartitionLocalMemory(self.0, size_of::<bool>()).cast::<bool>(),
                    WinGetFuncArgCurrent(self.0, 0, &mut no_value),
                    WinGetFuncArgCurrent(self.0, 1, &mut no_time),
                )
            })
        };
        // SAFETY: zeros are false; the data have the types of the declaration, float8 and timestamptz.
        unsafe {
            Row {
                partition_began: &mut *began,
                value: f64::from_datum(value, no_value),
                time: i64::from_datum(time, no_time),
            }
        }
    }

    /// # Safety
    /// `T` must be the type of that argument.
    unsafe fn argument<T: FromDatum>(&self, number: i32) -> Option<T> {
        let mut is_null = false;
        // SAFETY: as in `row`.
        let datum =
            unsafe { pg_sys::ffi::pg_guard_ffi_boundary(|| WinGetFuncArgCurrent(self.0, number, &mut is_null)) };
        // SAFETY: as promised by the caller.
        unsafe { T::from_datum(datum, is_null) }
    }

    /// The method and options that the row at hand gives.
    fn setting(&self) -> Result<Setting> {
        // SAFETY: the declaration in detection.sql says text and jsonb.
        let (method, options) = unsafe { (self.argument::<String>(2), self.argument::<JsonB>(3)) };
        Setting::new(method.as_deref(), options.as_ref().map(|json| &json.0))
    }
}

/// The detector of the partition at hand, which lives as long as the query's use of the function.
///
/// # Safety
/// `fcinfo` is what PostgreSQL passed; no reference from an earlier call with it may be alive.
unsafe fn detector<'a>(fcinfo: pg_sys::FunctionCallInfo) -> &'a mut Option<AnyDetector> {
    // SAFETY: fn_extra belongs to this function alone: null, or what an earlier call left there.
    unsafe {
        let info = (*fcinfo).flinfo;
        if (*info).fn_extra.is_null() {
            let kept = PgMemoryContexts::For((*info).fn_mcxt).leak_and_drop_on_delete(None::<AnyDetector>);
            (*info).fn_extra = kept.cast();
        }
        &mut *(*info).fn_extra.cast()
    }
}

#[pg_guard]
#[unsafe(no_mangle)]
unsafe extern "C-unwind" fn strata_anomaly_score(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: the executor's call, and the only reference to the detector.
    let (window, detector) = unsafe { (Window::of(fcinfo).or_raise(), detector(fcinfo)) };
    let row = window.row();
    if !*row.partition_began {
        *detector = Some(window.setting().or_raise().detector());
        *row.partition_began = true;
    }
    let time = row.time.and_then(pg_time::micros_of_raw);
    match (detector, time) {
        (Some(detector), Some(time)) => {
            let reading = detector.update(time, row.value.unwrap_or(f64::NAN));
            reading.score.into_datum().expect("a score is not NULL")
        }
        // a reading of no moment is not judged
        _ => {
            // SAFETY: as above.
            unsafe { (*fcinfo).isnull = true };
            pg_sys::Datum::from(0)
        }
    }
}

crate::v1_function!(pg_finfo_strata_anomaly_score);
