//! Which dead letters were replayed: one offset and, in its commit's metadata, what lies beyond it.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};

/// What a broker takes as the metadata of a commit (`offset.metadata.max.bytes`).
const METADATA_BYTES: usize = 4096;
/// A comma, and the first and the last offset of a range with a dash between.
const RANGE_BYTES: usize = 40;

/// Why a replay ends before its end.
pub(super) const TOO_MANY: &str = "too many letters were left out between replayed ones to remember more of them: replay those first, without --reason";

/// One partition's record of replays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Replayed {
    /// Everything below was replayed.
    below: i64,
    beyond: BTreeSet<i64>,
}

impl Replayed {
    /// As it was committed.
    pub(super) fn read(offset: i64, metadata: &str) -> anyhow::Result<Self> {
        let mut beyond = BTreeSet::new();
        for range in metadata.split(',').filter(|range| !range.is_empty()) {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let number = |text: &str| {
                text.parse::<i64>()
                    .with_context(|| format!("read what was replayed: `{metadata}`"))
            };
            beyond.extend(number(first)?..=number(last)?);
        }
        Ok(Self {
            below: offset,
            beyond,
        })
    }

    pub(super) fn has(&self, offset: i64) -> bool {
        offset < self.below || self.beyond.contains(&offset)
    }

    /// The first offset that was not replayed, or is not there yet.
    pub(super) fn below(&self) -> i64 {
        self.below
    }

    /// Adds a replay, or an offset at which there is no letter.
    pub(super) fn add(&mut self, offset: i64) {
        if offset >= self.below {
            self.beyond.insert(offset);
        }
        while self.beyond.remove(&self.below) {
            self.below += 1;
        }
    }

    /// Whether a replay of `offset` could be remembered, of offsets that come in order.
    pub(super) fn can_add(&self, offset: i64) -> bool {
        offset <= self.below
            || self.beyond.contains(&(offset - 1))
            || self.ranges().len() + RANGE_BYTES <= METADATA_BYTES
    }

    /// The metadata of the commit.
    ///
    /// # Errors
    /// Too much was left out in between.
    pub(super) fn metadata(&self) -> anyhow::Result<String> {
        let text = self.ranges();
        if text.len() > METADATA_BYTES {
            bail!(TOO_MANY);
        }
        Ok(text)
    }

    fn ranges(&self) -> String {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for &offset in &self.beyond {
            match ranges.last_mut().filter(|(_, last)| last + 1 == offset) {
                Some((_, last)) => *last = offset,
                None => ranges.push((offset, offset)),
            }
        }
        let ranges = ranges.iter().map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            }
        });
        ranges.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_was_replayed_is_known_again(start in 0i64..50, offsets in prop::collection::vec(0i64..100, 0..60)) {
            let mut replayed = Replayed::read(start, "").unwrap();
            for &offset in &offsets {
                replayed.add(offset);
            }
            let again = Replayed::read(replayed.below(), &replayed.metadata().unwrap()).unwrap();
            prop_assert_eq!(&again, &replayed);
            for offset in 0..120 {
                prop_assert_eq!(again.has(offset), offset < start || offsets.contains(&offset));
            }
        }
    }

    #[test]
    fn whatever_is_said_to_be_rememberable_is() {
        let mut replayed = Replayed::default();
        let many = (1..).flat_map(|number| [number * 1_000_000_007, number * 1_000_000_007 + 1]);
        for offset in many.take_while(|offset| *offset < 1_000_000_000_000) {
            if !replayed.can_add(offset) {
                assert!(offset > 100 * 1_000_000_007, "{offset}");
                break;
            }
            replayed.add(offset);
        }
        assert!(replayed.metadata().is_ok());
    }

    #[test]
    fn what_nobody_can_remember_is_refused() {
        let mut replayed = Replayed::default();
        (1..2000).for_each(|index| replayed.add(index * 2));
        assert!(replayed.metadata().is_err());
    }
}
