//! End-to-end tests of Strata; the tests themselves are in `tests/`, one file per behaviour.
