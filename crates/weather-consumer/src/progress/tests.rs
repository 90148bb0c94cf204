use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn both() -> Progress {
    Progress::new(true, true)
}

#[test]
fn what_mongodb_has_may_be_committed() {
    let mut progress = Progress::new(true, false);
    assert_eq!(progress.committable(), None);
    for offset in 10..15 {
        progress.consumed(offset);
        progress.handed(offset);
    }
    assert_eq!(progress.committable(), Some(10));
    progress.stored(12);
    assert_eq!(progress.committable(), Some(13));
    progress.stored(14);
    assert_eq!(progress.committable(), Some(15));
    assert!(progress.is_settled());
}

#[test]
fn a_record_on_its_way_to_the_dead_letters_holds_the_commit_back() {
    let mut progress = Progress::new(true, false);
    progress.consumed(0);
    progress.dead(0);
    progress.consumed(1);
    progress.handed(1);
    progress.stored(1);
    assert_eq!(progress.committable(), Some(0));
    progress.buried(0);
    assert_eq!(progress.committable(), Some(2));
}

#[test]
fn an_open_file_holds_the_commit_at_its_first_record() {
    let mut progress = Progress::new(false, true);
    progress.consumed(5);
    progress.dead(5);
    progress.buried(5);
    progress.consumed(6);
    progress.opened(Some(6));
    progress.consumed(7);
    assert_eq!(progress.committable(), Some(6));
    assert_eq!(progress.writing(), Some(7));
    progress.consumed(8);
    progress.opened(Some(8));
    assert_eq!(progress.committable(), Some(6));
    progress.landed(7);
    assert_eq!(progress.committable(), Some(8));
}

#[test]
fn a_commit_is_never_inside_a_file_although_mongodb_is_there() {
    let mut progress = both();
    for offset in 0..4 {
        progress.consumed(offset);
        progress.handed(offset);
        progress.opened(Some(0));
    }
    progress.writing();
    progress.landed(3);
    progress.consumed(4);
    progress.handed(4);
    progress.opened(Some(4));
    progress.stored(2);
    assert_eq!(
        progress.committable(),
        Some(0),
        "offset 3 is in the file that begins at 0"
    );
    progress.stored(4);
    assert_eq!(progress.committable(), Some(4));
}

#[test]
fn a_longer_file_of_somebody_else_is_a_boundary_only_once_we_are_there() {
    let mut progress = Progress::new(false, true);
    progress.consumed(0);
    progress.opened(Some(0));
    progress.writing();
    progress.landed(9);
    assert_eq!((progress.boundary(), progress.committable()), (10, Some(0)));
    for offset in 1..10 {
        progress.consumed(offset);
    }
    assert_eq!(progress.committable(), Some(10));
}

proptest! {
    /// Random orders of everything that can happen: what is committable is stored everywhere, never
    /// goes back, and never lies inside a file.
    #[test]
    fn what_is_committable_is_stored_and_begins_no_file_in_the_middle(steps in prop::collection::vec(0u8..8, 1..200)) {
        let mut progress = both();
        let (mut next, mut stored, mut committed) = (0i64, 0i64, 0i64);
        let (mut open, mut writing, mut letters) = (Vec::new(), Vec::new(), BTreeSet::new());
        let (mut files, mut through) = (Vec::<Vec<i64>>::new(), 0);
        for step in steps {
            match step {
                0..=2 => {
                    progress.consumed(next);
                    progress.handed(next);
                    open.push(next);
                    progress.opened(open.first().copied());
                    next += 1;
                }
                3 => {
                    progress.consumed(next);
                    progress.dead(next);
                    letters.insert(next);
                    next += 1;
                }
                4 => if let Some(offset) = letters.pop_last() { progress.buried(offset) },
                5 => if next > stored {
                    stored += (next - stored + 1) / 2;
                    progress.stored(stored - 1);
                },
                6 => if writing.is_empty() && !open.is_empty() {
                    writing = std::mem::take(&mut open);
                    through = progress.writing().unwrap();
                },
                _ => if !writing.is_empty() {
                    files.push(std::mem::take(&mut writing));
                    progress.landed(through);
                },
            }
            let Some(offset) = progress.committable() else { continue };
            prop_assert!(offset >= committed);
            committed = offset;
            let first_open = writing.first().or(open.first()).copied().unwrap_or(next);
            prop_assert!(offset <= first_open && offset <= next);
            prop_assert!(letters.first().is_none_or(|first| offset <= *first));
            for file in &files {
                prop_assert!(offset <= file[0] || offset > file[file.len() - 1]);
            }
        }
    }
}
