//! Settings `strata.*` of connections and queries; those of the workers are in `workers`.

use pgrx::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum, pg_guard, pg_sys};
use std::ffi::{CStr, CString, c_char, c_void};
use std::time::Duration;

/// What a query does when a tier cannot be reached.
#[derive(PostgresGucEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnTierError {
    #[name = c"error"]
    Error,
    #[name = c"warning"]
    Warning,
}

static REDIS_URL: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static REDIS_PASSWORD_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static REDIS_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(5_000);
static BIGQUERY_PROJECT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static BIGQUERY_LOCATION: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static BIGQUERY_ENDPOINT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static BIGQUERY_STORAGE_ENDPOINT: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static BIGQUERY_CREDENTIALS_FILE: GucSetting<Option<CString>> = GucSetting::<Option<CString>>::new(None);
static COLD_MAX_BYTES_MB: GucSetting<i32> = GucSetting::<i32>::new(10_240);
static COLD_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(600_000);
static ON_TIER_ERROR: GucSetting<OnTierError> = GucSetting::<OnTierError>::new(OnTierError::Error);
static FLUSH_BATCH: GucSetting<i32> = GucSetting::<i32>::new(10_000);
static DROP_LOCK_TIMEOUT_MS: GucSetting<i32> = GucSetting::<i32>::new(5_000);
static FLUSH_HISTORY_DAYS: GucSetting<i32> = GucSetting::<i32>::new(7);
static HOT_DETECTION: GucSetting<bool> = GucSetting::<bool>::new(true);
static DETECTOR_SNAPSHOT_DAYS: GucSetting<i32> = GucSetting::<i32>::new(8);

/// Defines the settings. Called once, from `_PG_init`.
pub fn define() {
    define_redis();
    define_bigquery();
    define_queries();
    define_jobs();
    define_hot_detection();
}

/// Makes a misspelt `strata.*` setting an error. Called once all settings are defined.
pub fn reserve_prefix() {
    // SAFETY: the string is constant; called while the library is loaded.
    unsafe { pg_sys::MarkGUCPrefixReserved(c"strata".as_ptr()) }
}

fn define_redis() {
    // SAFETY: the check hook is guarded and only reads the string PostgreSQL hands to it.
    unsafe {
        GucRegistry::define_string_guc_with_hooks(
            c"strata.redis_url",
            c"Redis server of the hot tier: redis://host:port/db or rediss:// for TLS.",
            c"Empty: no hot tier is used. A password does not belong here: strata.redis_password_file names the file that holds it.",
            &REDIS_URL,
            GucContext::Suset,
            GucFlags::SUPERUSER_ONLY,
            Some(check_url_without_password),
            None,
            None,
        );
    }
    GucRegistry::define_string_guc(
        c"strata.redis_password_file",
        c"File that holds the Redis password.",
        c"Read by the server process at each connection; only its path is a setting.",
        &REDIS_PASSWORD_FILE,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_int_guc(
        c"strata.redis_timeout",
        c"Longest wait for one reply of Redis.",
        c"The default lets a replica finish its start-up; a dashboard may want less.",
        &REDIS_TIMEOUT_MS,
        10,
        600_000,
        GucContext::Userset,
        GucFlags::UNIT_MS,
    );
}

fn define_bigquery() {
    GucRegistry::define_string_guc(
        c"strata.bigquery_project",
        c"Google Cloud project that holds the cold tier and pays for its jobs.",
        c"Empty: no cold tier is used.",
        &BIGQUERY_PROJECT,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_string_guc(
        c"strata.bigquery_location",
        c"Location of the BigQuery datasets, for example EU.",
        c"Used where Strata creates a dataset and to find its jobs again.",
        &BIGQUERY_LOCATION,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_string_guc(
        c"strata.bigquery_endpoint",
        c"Base URL of the BigQuery REST service, for an emulator or a private endpoint.",
        c"Empty: Google's service. With an endpoint and no credentials file, requests carry no credentials.",
        &BIGQUERY_ENDPOINT,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_string_guc(
        c"strata.bigquery_storage_endpoint",
        c"Base URL of the BigQuery Storage gRPC service, for an emulator or a private endpoint.",
        c"Empty: large reads go through the REST service.",
        &BIGQUERY_STORAGE_ENDPOINT,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
    GucRegistry::define_string_guc(
        c"strata.bigquery_credentials_file",
        c"Service-account key file of the cold tier.",
        c"Empty: application-default credentials. Only the path is a setting; the file is read by the server process.",
        &BIGQUERY_CREDENTIALS_FILE,
        GucContext::Suset,
        GucFlags::SUPERUSER_ONLY,
    );
}

fn define_queries() {
    GucRegistry::define_int_guc(
        c"strata.cold_max_bytes",
        c"Most bytes that one BigQuery query may bill.",
        c"BigQuery refuses a query above it before it costs anything. The default of 10 GB is some cents a query.",
        &COLD_MAX_BYTES_MB,
        10,
        i32::MAX,
        GucContext::Suset,
        GucFlags::UNIT_MB,
    );
    GucRegistry::define_int_guc(
        c"strata.cold_timeout",
        c"Longest time for one BigQuery job, retries included.",
        c"statement_timeout ends a query earlier; this bounds the jobs, which have none.",
        &COLD_TIMEOUT_MS,
        1_000,
        86_400_000,
        GucContext::Userset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_enum_guc(
        c"strata.on_tier_error",
        c"Whether a tier that cannot be reached is an error or a warning with a partial answer.",
        c"The default refuses: a partial answer must be asked for.",
        &ON_TIER_ERROR,
        GucContext::Userset,
        GucFlags::default(),
    );
}

fn define_jobs() {
    GucRegistry::define_int_guc(
        c"strata.flush_batch",
        c"Most samples that one transaction of the flush writes.",
        c"Larger batches cost memory, smaller ones commits; 10 000 rows take a fraction of a second.",
        &FLUSH_BATCH,
        1,
        1_000_000,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"strata.drop_lock_timeout",
        c"Longest wait for the lock under which an archived day leaves the table.",
        c"Readers and writers queue behind that lock, so it gives up soon and the next run tries again.",
        &DROP_LOCK_TIMEOUT_MS,
        1,
        600_000,
        GucContext::Suset,
        GucFlags::UNIT_MS,
    );
    GucRegistry::define_int_guc(
        c"strata.flush_history",
        c"Days that strata.flushes remembers.",
        c"Only the newest batch of a source is needed; the rest is for the operator's eyes.",
        &FLUSH_HISTORY_DAYS,
        1,
        3_650,
        GucContext::Suset,
        GucFlags::default(),
    );
    GucRegistry::define_int_guc(
        c"strata.detector_snapshots",
        c"Days for which the state of each detector is kept.",
        c"A late reading is detected again from the state at the start of its day; eight days cover a week's outage.",
        &DETECTOR_SNAPSHOT_DAYS,
        1,
        366,
        GucContext::Suset,
        GucFlags::default(),
    );
}

fn define_hot_detection() {
    GucRegistry::define_bool_guc(
        c"strata.hot_detection",
        c"Whether Redis judges samples as they come.",
        c"It goes on from the states of the job anomaly_detection, which hands them over; off ends the watch with its next run.",
        &HOT_DETECTION,
        GucContext::Suset,
        GucFlags::default(),
    );
}

/// Refuses `scheme://user:password@host`: a setting can be read, logged and dumped.
#[pg_guard]
unsafe extern "C-unwind" fn check_url_without_password(
    value: *mut *mut c_char,
    _extra: *mut *mut c_void,
    _source: pg_sys::GucSource::Type,
) -> bool {
    // SAFETY: PostgreSQL passes a pointer to a C string or to null.
    let url = unsafe { (*value).as_ref().map(|first| CStr::from_ptr(first)) };
    let Some(url) = url.and_then(|text| text.to_str().ok()) else {
        return true;
    };
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).split('/').next().unwrap_or("");
    if !authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
        return true;
    }
    // PostgreSQL's own message would show the value
    // SAFETY: PostgreSQL reads the two texts right after the hook; copies live as long as the memory context.
    unsafe {
        pg_sys::GUC_check_errmsg_string = pg_sys::pstrdup(c"a password does not belong into strata.redis_url".as_ptr());
        pg_sys::GUC_check_errhint_string =
            pg_sys::pstrdup(c"Write it into a file and set strata.redis_password_file to the file's path.".as_ptr());
    }
    false
}

fn text(setting: &GucSetting<Option<CString>>) -> Option<String> {
    setting
        .get()
        .and_then(|value| value.into_string().ok())
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

fn millis(setting: &GucSetting<i32>) -> Duration {
    Duration::from_millis(setting.get().unsigned_abs().into())
}

pub fn redis_url() -> Option<String> {
    text(&REDIS_URL)
}

pub fn redis_password_file() -> Option<String> {
    text(&REDIS_PASSWORD_FILE)
}

pub fn redis_timeout() -> Duration {
    millis(&REDIS_TIMEOUT_MS)
}

pub fn bigquery_project() -> Option<String> {
    text(&BIGQUERY_PROJECT)
}

pub fn bigquery_location() -> Option<String> {
    text(&BIGQUERY_LOCATION)
}

pub fn bigquery_endpoint() -> Option<String> {
    text(&BIGQUERY_ENDPOINT)
}

pub fn bigquery_storage_endpoint() -> Option<String> {
    text(&BIGQUERY_STORAGE_ENDPOINT)
}

pub fn bigquery_credentials_file() -> Option<String> {
    text(&BIGQUERY_CREDENTIALS_FILE)
}

/// Cap of one query in bytes.
pub fn cold_max_bytes() -> u64 {
    u64::from(COLD_MAX_BYTES_MB.get().unsigned_abs()) << 20
}

pub fn cold_timeout() -> Duration {
    millis(&COLD_TIMEOUT_MS)
}

pub fn on_tier_error() -> OnTierError {
    ON_TIER_ERROR.get()
}

/// Rows of one flush transaction.
pub fn flush_batch() -> usize {
    FLUSH_BATCH.get().unsigned_abs() as usize
}

pub fn drop_lock_timeout() -> Duration {
    millis(&DROP_LOCK_TIMEOUT_MS)
}

pub fn flush_history_days() -> i32 {
    FLUSH_HISTORY_DAYS.get()
}

pub fn hot_detection() -> bool {
    HOT_DETECTION.get()
}

pub fn detector_snapshot_days() -> i32 {
    DETECTOR_SNAPSHOT_DAYS.get()
}
