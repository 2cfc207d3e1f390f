//! Many questions to a volume at once: over a network, most of the time is waiting.

use std::sync::{Mutex, PoisonError};

use crate::{mount::lock::lock, storage::Error};

/// How many are asked at once.
const READERS: usize = 8;

/// Does some work for each item and adds up what came of it, in any order; the first error that adding gives ends it.
pub(super) fn each<I, O, T: Send>(
    items: impl ExactSizeIterator<Item = I> + Send,
    sum: T,
    work: impl Fn(I) -> O + Sync,
    add: impl Fn(&mut T, O) -> Result<(), Error> + Sync,
) -> Result<T, Error> {
    let (readers, queue, sum) = (READERS.min(items.len()), Mutex::new(items), Mutex::new(Ok(sum)));
    let read = || {
        loop {
            let next = lock(&queue).next();
            let Some(item) = next else { return };
            let outcome = work(item);
            let mut sum = lock(&sum);
            let Ok(so_far) = &mut *sum else { return };
            if let Err(error) = add(so_far, outcome) {
                *sum = Err(error);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..readers {
            // One that cannot be started is one fewer.
            let _ = std::thread::Builder::new().spawn_scoped(scope, read);
        }
        read();
    });
    sum.into_inner().unwrap_or_else(PoisonError::into_inner)
}
