//! Sizes: what is asked for, and what there is.

use std::fmt;

use serde::Serialize;

use crate::storage::{Error, Reason, record::MAX_SIZE};

/// The size of a PV for which none is asked.
pub const DEFAULT_SIZE: u64 = 1 << 30;

/// The size that a CSI `CapacityRange` asks for, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    /// At least this; 0 where nothing is asked.
    pub required: u64,
    /// At most this; any where none.
    pub limit: Option<u64>,
}

impl Range {
    /// The size that a PV gets: what is required, and 1 GiB, or the limit if that is less, where nothing is.
    ///
    /// # Errors
    /// `OutOfRange` where no size, or none of a volume, is in the range.
    pub fn size(&self) -> Result<u64, Error> {
        let limit = self.limit.unwrap_or(MAX_SIZE).min(MAX_SIZE);
        let size = if self.required == 0 { DEFAULT_SIZE.min(limit) } else { self.required };
        if size == 0 || size > limit {
            return Err(Error::new(Reason::OutOfRange, format_args!("no volume has {self}")));
        }
        Ok(size)
    }

    /// Whether a size is in the range.
    pub fn holds(&self, size: u64) -> bool {
        size >= self.required && self.limit.is_none_or(|limit| size <= limit)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at least {} bytes", self.required)?;
        self.limit.map_or(Ok(()), |limit| write!(f, " and at most {limit}"))
    }
}

/// What a pool holds, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Capacity {
    /// The size of the volume.
    pub total: u64,
    /// What can still be written on it.
    pub free: u64,
    /// The sizes of its PVs together: in use, retained and archived ones. A volume that is claimed as a whole has promised
    /// all it has.
    pub promised: u64,
}

impl Capacity {
    /// What may be promised beyond what is; `overcommit` is how much of the volume may be promised, as a ratio.
    ///
    /// Up to a ratio of 1, nothing is promised that is not free.
    ///
    /// # Errors
    /// `Invalid` where `overcommit` is not a positive number.
    pub fn available(&self, overcommit: f64) -> Result<u64, Error> {
        if !overcommit.is_finite() || overcommit <= 0.0 {
            let message =
                format!("{overcommit} is no ratio to overcommit by: 1, or 1.5 for half as much again");
            return Err(Error::new(Reason::Invalid, message));
        }
        // Exact where nothing is scaled; a cast ends at the largest number.
        let most = if overcommit == 1.0 { self.total } else { (self.total as f64 * overcommit) as u64 };
        let left = most.saturating_sub(self.promised);
        Ok(if overcommit <= 1.0 { left.min(self.free) } else { left })
    }
}

/// Bytes in GiB, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gib(pub u64);

impl fmt::Display for Gib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} GiB", self.0 as f64 / (1_u64 << 30) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    #[test]
    fn a_range_picks_a_size() {
        for (required, limit, size) in [
            (0, None, Some(GIB)),
            (0, Some(5), Some(5)),
            (0, Some(2 * GIB), Some(GIB)),
            (7, None, Some(7)),
            (7, Some(7), Some(7)),
            (8, Some(7), None),
            (0, Some(0), None),
            (MAX_SIZE, None, Some(MAX_SIZE)),
            (MAX_SIZE + 1, None, None),
            (u64::MAX, Some(u64::MAX), None),
        ] {
            let range = Range { required, limit };
            assert_eq!(range.size().ok(), size, "{range}");
            assert!(size.is_none_or(|size| range.holds(size)));
        }
        assert_eq!(Range { required: 8, limit: Some(7) }.size().unwrap_err().reason(), Reason::OutOfRange);
    }

    #[test]
    fn what_is_available_follows_the_ratio() {
        let capacity = Capacity { total: 100, free: 30, promised: 60 };
        for (overcommit, available) in [(1.0, 30), (0.7, 10), (0.5, 0), (1.5, 90), (1e300, u64::MAX - 60)] {
            assert_eq!(capacity.available(overcommit).unwrap(), available, "{overcommit}");
        }
        assert_eq!(Capacity { free: 90, ..capacity }.available(1.0).unwrap(), 40);
        for overcommit in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(capacity.available(overcommit).unwrap_err().reason(), Reason::Invalid);
        }
    }
}
