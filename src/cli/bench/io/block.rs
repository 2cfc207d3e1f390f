//! Blocks whose every byte follows from what they are: which file, which place in it, how often written.

/// Bytes of a block.
pub(super) const SIZE: usize = 4096;

const MAGIC: u64 = u64::from_be_bytes(*b"kadaluio");

/// Of which file, by a number that no other file of a run has, and in which run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    pub(super) seed: u64,
    pub(super) number: u64,
}

/// The bytes of blocks in a row, all at one version.
pub(super) fn blocks(file: FileId, first: usize, count: usize, version: u64) -> Vec<u8> {
    (first..first + count).flat_map(|place| block(file, place, version)).collect()
}

fn block(file: FileId, place: usize, version: u64) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let (header, body) = bytes.split_at_mut(40);
    let words = [MAGIC, file.seed, file.number, place as u64, version];
    for (at, word) in header.chunks_exact_mut(8).zip(words) {
        at.copy_from_slice(&word.to_be_bytes());
    }
    // Each word shifted by another odd factor, so that neighbours have nothing in common.
    let seed =
        words.iter().fold(0u64, |mix, word| (mix ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29));
    fastrand::Rng::with_seed(seed).fill(body);
    bytes
}

/// What is wrong with a block, and how many of its bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) what: String,
    pub(super) bytes: usize,
}

/// Compares what was read for the block at `place` with what was written there: a version in `versions`, both ends
/// included (more than one where a write was not acknowledged).
pub(super) fn check(found: &[u8], file: FileId, place: usize, versions: (u64, u64)) -> Result<(), Wrong> {
    let word = |n: usize| {
        found.get(8 * n..8 * n + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_be_bytes)
    };
    let said = word(4);
    if (versions.0..=versions.1).contains(&said) && found == block(file, place, said) {
        return Ok(());
    }
    let expected = block(file, place, versions.1);
    let same = found.iter().zip(&expected).filter(|(found, expected)| found == expected).count();
    let what = if found.len() < SIZE {
        format!("{} bytes instead of {SIZE}", found.len())
    } else if found.iter().all(|byte| *byte == 0) {
        "zeros".to_owned()
    } else if word(0) != MAGIC {
        "no block of a load".to_owned()
    } else if (word(1), word(2), word(3)) != (file.seed, file.number, place as u64) {
        format!("the block of place {} in file {} of run {}", word(3), word(2), word(1))
    } else if found == block(file, place, said) {
        format!("version {said} instead of {} to {}", versions.0, versions.1)
    } else {
        format!("torn: its header is of version {said}")
    };
    Err(Wrong { what, bytes: SIZE - same.min(SIZE) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId { seed: 7, number: 3 };

    fn wrong(found: &[u8]) -> Wrong {
        check(found, FILE, 5, (2, 3)).unwrap_err()
    }

    #[test]
    fn what_was_written_is_right() {
        let bytes = blocks(FILE, 4, 2, 2);
        assert_eq!(check(&bytes[SIZE..], FILE, 5, (2, 3)), Ok(()));
    }

    #[test]
    fn lost_misplaced_old_and_torn_blocks_are_told_apart() {
        assert_eq!(wrong(&[0; SIZE]).what, "zeros");
        assert_eq!(wrong(&[]), Wrong { what: "0 bytes instead of 4096".into(), bytes: SIZE });
        assert_eq!(wrong(&[1; SIZE]).what, "no block of a load");
        assert_eq!(wrong(&block(FILE, 6, 2)).what, "the block of place 6 in file 3 of run 7");
        assert_eq!(
            wrong(&block(FileId { number: 4, ..FILE }, 5, 2)).what,
            "the block of place 5 in file 4 of run 7"
        );
        assert_eq!(wrong(&block(FILE, 5, 1)).what, "version 1 instead of 2 to 3");
        let mut torn = block(FILE, 5, 3);
        torn[4095] ^= 1;
        assert_eq!(wrong(&torn), Wrong { what: "torn: its header is of version 3".into(), bytes: 1 });
    }
}
