//! Many places in calls of a size, and the one that the service rejects found among them.

use std::ops::Range;

use super::{Element, Error, OpenMeteo};

/// After so many rejections without one answer, it is not the place that is at fault.
const MAX_REJECTIONS_IN_A_ROW: u32 = 8;

/// What came of the places, by their index.
#[derive(Debug, Default)]
pub struct Answers {
    pub elements: Vec<(usize, Element)>,
    /// With the service's reason.
    pub rejected: Vec<(usize, String)>,
    /// Why the others were left.
    pub end: Option<Error>,
}

/// Asks for all of `items`, at most `size` at once. A call that is rejected is halved until the place that the
/// service does not want is alone; the others are answered.
pub async fn ask_all<T>(
    open_meteo: &mut OpenMeteo,
    items: &[T],
    size: usize,
    mut ask: impl AsyncFnMut(&mut OpenMeteo, &[T]) -> Result<Vec<Element>, Error>,
) -> Answers {
    let mut answers = Answers::default();
    let mut left: Vec<Range<usize>> = Vec::new();
    for start in (0..items.len()).step_by(size.max(1)) {
        left.push(start..items.len().min(start + size.max(1)));
    }
    left.reverse();
    let mut rejections = 0;
    while let Some(range) = left.pop() {
        match ask(open_meteo, &items[range.clone()]).await {
            Ok(elements) => {
                rejections = 0;
                answers.elements.extend(range.zip(elements));
            }
            Err(Error::Rejected(reason)) => {
                rejections += 1;
                if range.len() == 1 || rejections > MAX_REJECTIONS_IN_A_ROW {
                    answers
                        .rejected
                        .extend(range.map(|index| (index, reason.clone())));
                } else {
                    let middle = range.start + range.len() / 2;
                    left.push(middle..range.end);
                    left.push(range.start..middle);
                }
            }
            Err(error) => {
                answers.end = Some(error);
                break;
            }
        }
    }
    answers
}
