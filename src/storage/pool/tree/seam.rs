//! Where a test ends a call: from a given step on, every system call fails, as if the process had been killed before it.

#[cfg(test)]
type Meanwhile = (u32, Box<dyn FnOnce()>);

#[cfg(test)]
thread_local! {
    /// How many steps are left, and whether one was refused.
    static LEFT: std::cell::Cell<Option<(u32, bool)>> = const { std::cell::Cell::new(None) };
    /// What is to happen before a step, and how many steps are left until then.
    static MEANWHILE: std::cell::RefCell<Option<Meanwhile>> = const { std::cell::RefCell::new(None) };
}

/// Stands before each system call that can change something, or tell of a change.
#[inline]
pub(in crate::storage::pool) fn step() -> rustix::io::Result<()> {
    #[cfg(test)]
    meanwhile();
    #[cfg(test)]
    match LEFT.get() {
        Some((0, _)) => {
            LEFT.set(Some((0, true)));
            return Err(rustix::io::Errno::CANCELED);
        }
        Some((left, _)) => LEFT.set(Some((left - 1, false))),
        None => {}
    }
    Ok(())
}

#[cfg(test)]
fn meanwhile() {
    let now = MEANWHILE.with_borrow_mut(|meanwhile| match meanwhile {
        Some((0, _)) => meanwhile.take(),
        Some((left, _)) => {
            *left -= 1;
            None
        }
        None => None,
    });
    if let Some((_, meanwhile)) = now {
        meanwhile();
    }
}

/// Runs a call with something else done before one of its steps; false where it has no such step.
#[cfg(test)]
pub(in crate::storage::pool) fn at_step(
    step: u32,
    meanwhile: impl FnOnce() + 'static,
    call: impl FnOnce(),
) -> bool {
    MEANWHILE.set(Some((step, Box::new(meanwhile))));
    call();
    MEANWHILE.take().is_none()
}

/// Runs a call that is killed after so many steps; none where it was.
#[cfg(test)]
pub(in crate::storage::pool) fn killed_after<T>(steps: u32, call: impl FnOnce() -> T) -> Option<T> {
    LEFT.set(Some((steps, false)));
    let value = call();
    let killed = LEFT.take().is_some_and(|(_, killed)| killed);
    (!killed).then_some(value)
}
