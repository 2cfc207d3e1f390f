//! The happy-eyeballs race (RFC 8305 §5): attempts start one after another, do not wait for each other, and the first
//! success wins.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// Starts the attempts in order, each `stagger` after the one before or at once when any attempt fails.
///
/// Gives the index and value of the first success, and drops the others; or every failure, in the order of the
/// attempts. Dropping the race drops all of them.
pub(super) async fn race<T, E, F>(
    attempts: impl IntoIterator<Item = F>,
    stagger: Duration,
) -> Result<(usize, T), Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = attempts.into_iter().enumerate().peekable();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut failed = Vec::new();
    loop {
        if let Some((index, attempt)) = waiting.next() {
            running.push((index, Box::pin(attempt)));
        }
        if running.is_empty() {
            failed.sort_by_key(|(index, _)| *index);
            return Err(failed.into_iter().map(|(_, error)| error).collect());
        }
        tokio::select! {
            (index, outcome) = first(&mut running) => match outcome {
                Ok(value) => return Ok((index, value)),
                Err(error) => failed.push((index, error)),
            },
            () = tokio::time::sleep(stagger), if waiting.peek().is_some() => {}
        }
    }
}

/// The next of `running` to finish, which leaves the list.
async fn first<F: Future>(running: &mut Vec<(usize, Pin<Box<F>>)>) -> (usize, F::Output) {
    poll_fn(|context| {
        for at in 0..running.len() {
            if let Poll::Ready(output) = running[at].1.as_mut().poll(context) {
                return Poll::Ready((running.swap_remove(at).0, output));
            }
        }
        Poll::Pending
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use tokio::time::{Instant, sleep};

    use super::*;

    const STAGGER: Duration = Duration::from_millis(250);

    /// Attempts given as (milliseconds, success), the virtual time the race took, and when each attempt began.
    async fn run(attempts: &[(u64, bool)]) -> (Result<(usize, u64), Vec<u64>>, u128, Vec<u128>) {
        let start = Instant::now();
        let begun = Rc::new(RefCell::new(Vec::new()));
        let futures = attempts.iter().map(|&(millis, success)| {
            let begun = begun.clone();
            async move {
                begun.borrow_mut().push(start.elapsed().as_millis());
                sleep(Duration::from_millis(millis)).await;
                if success { Ok(millis) } else { Err(millis) }
            }
        });
        let outcome = race(futures, STAGGER).await;
        let begun = begun.borrow().clone();
        (outcome, start.elapsed().as_millis(), begun)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_attempt_loses_to_the_second() {
        assert_eq!(run(&[(5000, true), (10, true), (10, true)]).await, (Ok((1, 10)), 260, vec![0, 250]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_starts_the_next_at_once() {
        assert_eq!(run(&[(3, false), (4, false), (5, true)]).await, (Ok((2, 5)), 12, vec![0, 3, 7]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_may_still_win_late() {
        assert_eq!(
            run(&[(900, true), (100, false), (5000, true)]).await,
            (Ok((0, 900)), 900, vec![0, 250, 350])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn all_failures_come_back_in_order() {
        assert_eq!(run(&[(600, false), (20, false)]).await, (Err(vec![600, 20]), 600, vec![0, 250]));
        assert_eq!(run(&[]).await, (Err(vec![]), 0, vec![]));
    }
}
