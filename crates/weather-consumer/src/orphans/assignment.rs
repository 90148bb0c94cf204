//! A member's assignment, as the group's leader wrote it and the broker keeps it without a look.

/// The partitions of a topic in a `ConsumerProtocolAssignment`: a version, then each topic with its
/// partitions, big-endian; later versions only append. None where it is no such thing.
pub fn assigned(mut rest: &[u8], topic: &str) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    // A member that the leader gave nothing.
    if rest.is_empty() {
        return Some(found);
    }
    take::<2>(&mut rest)?;
    for _ in 0..number(&mut rest)? {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(length)?;
        rest = after;
        for _ in 0..number(&mut rest)? {
            let partition = number(&mut rest)?;
            if name == topic.as_bytes() {
                found.push(partition);
            }
        }
    }
    Some(found)
}

fn number(rest: &mut &[u8]) -> Option<i32> {
    take(rest).map(i32::from_be_bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(topics: &[(String, Vec<i32>)], after: &[u8]) -> Vec<u8> {
        let count = |length: usize| i32::try_from(length).unwrap().to_be_bytes();
        let mut bytes = [&[0, 1][..], &count(topics.len())].concat();
        for (name, partitions) in topics {
            bytes.extend(i16::try_from(name.len()).unwrap().to_be_bytes());
            bytes.extend(name.as_bytes());
            bytes.extend(count(partitions.len()));
            partitions
                .iter()
                .for_each(|number| bytes.extend(number.to_be_bytes()));
        }
        bytes.extend(after);
        bytes
    }

    #[test]
    fn a_member_may_have_nothing() {
        assert_eq!(assigned(&[], "readings"), Some(vec![]));
        assert_eq!(assigned(&written(&[], &[]), "readings"), Some(vec![]));
    }

    proptest! {
        #[test]
        fn the_partitions_of_the_topic_are_read(
            ours in prop::collection::vec(0..100, 0..9),
            theirs in prop::collection::vec(0..100, 0..9),
            after in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let topics = [("others".to_owned(), theirs), ("readings".to_owned(), ours.clone())];
            prop_assert_eq!(assigned(&written(&topics, &after), "readings"), Some(ours));
        }

        #[test]
        fn what_is_cut_off_is_no_assignment(
            ours in prop::collection::vec(0..100, 0..9), cut in any::<prop::sample::Index>(),
        ) {
            let whole = written(&[("readings".to_owned(), ours)], &[]);
            let length = 1 + cut.index(whole.len() - 1);
            prop_assert_eq!(assigned(&whole[..length], "readings"), None);
        }

        #[test]
        fn any_bytes_can_be_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..99)) {
            assigned(&bytes, "readings");
        }
    }
}
