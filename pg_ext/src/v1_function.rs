//! C functions that pgrx cannot declare: polymorphic results and triggers without a copy of each row.

/// Exports the record by which PostgreSQL recognises a version-1 C function.
#[macro_export]
macro_rules! v1_function {
    ($name:ident) => {
        #[doc(hidden)]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> &'static pgrx::pg_sys::Pg_finfo_record {
            const RECORD: pgrx::pg_sys::Pg_finfo_record = pgrx::pg_sys::Pg_finfo_record { api_version: 1 };
            &RECORD
        }
    };
}
