//! What a pool has promised, kept so that the next PV costs the same in a pool of ten thousand.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use crate::mount::lock::lock;
use crate::storage::Error;

/// The size of each PV, by its path, and their sum.
#[derive(Debug, Default)]
pub(super) struct Index {
    books: Mutex<Books>,
    /// Held by who reads all records: the others wait for what is found.
    reading: Mutex<()>,
}

#[derive(Debug, Default)]
struct Books {
    /// None before the records were read.
    sizes: Option<Sizes>,
    /// What has changed while the records are being read, which may have come too late for that; none at other times.
    meanwhile: Option<Vec<(String, Option<u64>)>>,
}

#[derive(Debug, Default)]
struct Sizes {
    of: HashMap<String, u64>,
    sum: u128,
}

impl Sizes {
    fn set(&mut self, path: String, size: Option<u64>) {
        let before = match size {
            Some(size) => self.of.insert(path, size),
            None => self.of.remove(&path),
        };
        self.sum = self.sum + u128::from(size.unwrap_or_default()) - u128::from(before.unwrap_or_default());
    }
}

impl Books {
    fn set(&mut self, path: &str, size: Option<u64>) {
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.push((path.to_owned(), size));
        }
        if let Some(sizes) = &mut self.sizes {
            sizes.set(path.to_owned(), size);
        }
    }

    fn promised(&self) -> u64 {
        self.sizes.as_ref().map_or(0, |sizes| u64::try_from(sizes.sum).unwrap_or(u64::MAX))
    }
}

impl Index {
    /// The sum of all sizes; `read` reads all records where that was not done yet.
    pub(super) fn promised<I: Iterator<Item = (String, u64)>>(
        &self,
        read: impl FnOnce() -> Result<I, Error>,
    ) -> Result<u64, Error> {
        if lock(&self.books).sizes.is_none() {
            let reading = lock(&self.reading);
            // Another may have done it meanwhile.
            if lock(&self.books).sizes.is_none() {
                self.read(&reading, read)?;
            }
        }
        Ok(lock(&self.books).promised())
    }

    /// Reads all records again.
    pub(super) fn refresh<I: Iterator<Item = (String, u64)>>(
        &self,
        read: impl FnOnce() -> Result<I, Error>,
    ) -> Result<(), Error> {
        self.read(&lock(&self.reading), read)
    }

    fn read<I: Iterator<Item = (String, u64)>>(
        &self,
        _reading: &MutexGuard<'_, ()>,
        read: impl FnOnce() -> Result<I, Error>,
    ) -> Result<(), Error> {
        lock(&self.books).meanwhile = Some(Vec::new());
        let found = read();
        let mut books = lock(&self.books);
        let meanwhile = books.meanwhile.take().unwrap_or_default();
        let mut sizes = Sizes::default();
        let found = found?.map(|(path, size)| (path, Some(size)));
        found.chain(meanwhile).for_each(|(path, size)| sizes.set(path, size));
        books.sizes = Some(sizes);
        Ok(())
    }

    /// Notes the size of a PV; none: it is no more.
    pub(super) fn set(&self, path: &str, size: Option<u64>) {
        lock(&self.books).set(path, size);
    }

    /// Notes the size of a PV if `check` finds room beside what is promised to others, and says what it was before.
    pub(super) fn reserve(
        &self,
        path: &str,
        size: u64,
        check: impl FnOnce(u64) -> Result<(), Error>,
    ) -> Result<Option<u64>, Error> {
        let mut books = lock(&self.books);
        let before = books.sizes.as_ref().and_then(|sizes| sizes.of.get(path).copied());
        check(books.promised().saturating_sub(before.unwrap_or_default()))?;
        books.set(path, Some(size));
        Ok(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(all: &[(&str, u64)]) -> impl FnOnce() -> Result<std::vec::IntoIter<(String, u64)>, Error> {
        let all = all.iter().map(|(path, size)| ((*path).to_owned(), *size)).collect::<Vec<_>>();
        || Ok(all.into_iter())
    }

    #[test]
    fn the_records_are_read_once_and_counted_from_then_on() {
        let index = Index::default();
        index.set("before", Some(1));
        assert_eq!(index.promised(read(&[("a", 1), ("b", 2)])).unwrap(), 3);
        index.set("a", Some(5));
        index.set("b", None);
        index.set("b", None);
        assert_eq!(index.promised(|| -> Result<std::iter::Empty<_>, _> { panic!("read twice") }).unwrap(), 5);
        index.refresh(read(&[("c", u64::MAX), ("d", u64::MAX)])).unwrap();
        assert_eq!(index.promised(read(&[])).unwrap(), u64::MAX);
        index.set("d", None);
        assert_eq!(index.promised(read(&[])).unwrap(), u64::MAX);
    }

    #[test]
    fn what_changes_while_the_records_are_read_counts() {
        let index = Index::default();
        let reading = || {
            index.set("new", Some(7));
            index.set("gone", None);
            read(&[("gone", 1), ("there", 2)])()
        };
        assert_eq!(index.promised(reading).unwrap(), 9);
    }

    #[test]
    fn what_has_no_room_is_not_noted() {
        let index = Index::default();
        index.promised(read(&[("a", 5)])).unwrap();
        let full = |_| Err(Error::other("no", "room"));
        assert!(index.reserve("b", 1, full).is_err());
        assert_eq!(
            index
                .reserve("a", 7, |others| {
                    assert_eq!(others, 0);
                    Ok(())
                })
                .unwrap(),
            Some(5)
        );
        assert_eq!(index.promised(read(&[])).unwrap(), 7);
    }
}
