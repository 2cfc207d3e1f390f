//! Mutexes whose content is whole between any two statements.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a panic elsewhere has left nothing half-done behind the mutexes of this crate.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
