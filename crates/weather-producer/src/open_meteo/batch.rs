//! Many places in calls of a size, and the one that the service has no good answer for found among them.

use std::ops::Range;

use super::{Element, Error, OpenMeteo};

/// After so many calls for several places without one answer, it is hardly the places that are at fault.
const MOST_FAULTS_IN_A_ROW: u32 = 8;
/// So often a call is tried whose answer is broken; each time costs as much as a good answer.
const BROKEN_TRIES: u32 = 3;

/// What came of the places, by their index.
#[derive(Debug, Default)]
pub struct Answers {
    pub elements: Vec<(usize, Element)>,
    /// With the service's reason.
    pub rejected: Vec<(usize, String)>,
    /// Of a place whose answer is broken each time, while the others' are not: what is wrong with it.
    pub broken: Vec<(usize, String)>,
    /// Why the others were left.
    pub end: Option<Error>,
}

/// Places that are asked for at once, and how often where the answer is broken.
#[derive(Debug, Clone)]
pub struct Call {
    places: Range<usize>,
    tries: u32,
    /// The others are well: a fault is the place's.
    is_last_word: bool,
}

impl Call {
    /// The places of `range`, at most `size` in a call.
    pub fn several(range: Range<usize>, size: usize) -> impl Iterator<Item = Self> {
        let end = range.end;
        let size = size.max(1);
        range.step_by(size).map(move |start| Self {
            places: start..end.min(start + size),
            tries: BROKEN_TRIES,
            is_last_word: false,
        })
    }

    /// Each place of `range` in a call of its own, once, as each is known to break the call that it is in.
    pub fn alone(range: Range<usize>) -> impl Iterator<Item = Self> {
        range.map(|index| Self {
            places: index..index + 1,
            tries: 1,
            is_last_word: true,
        })
    }

    /// The first half is on top of the stack.
    fn halves(&self) -> [Self; 2] {
        let Range { start, end } = self.places;
        let middle = start + (end - start) / 2;
        // Asked for once, as the whole has shown that asking again does not help.
        let half = |places: Range<usize>| Self {
            places,
            tries: 1,
            is_last_word: false,
        };
        [half(middle..end), half(start..middle)]
    }
}

/// Asks for all of `items` in these calls; `ask` gets the items of a call and how often to try it.
///
/// A call that is rejected, or whose answer is broken, is halved until the place that the service has nothing good for
/// is alone; the others are answered.
pub async fn ask_all<T>(
    open_meteo: &mut OpenMeteo,
    items: &[T],
    calls: impl IntoIterator<Item = Call>,
    mut ask: impl AsyncFnMut(&mut OpenMeteo, &[T], u32) -> Result<Vec<Element>, Error>,
) -> Answers {
    let mut answers = Answers::default();
    let mut left: Vec<_> = calls.into_iter().collect();
    left.reverse();
    let mut faults = 0;
    // Calls that nobody halves before there is an answer again.
    let mut aside: Vec<(Call, Error)> = Vec::new();
    // Places whose answer is broken, which may be the service's own trouble.
    let mut suspects: Vec<(usize, String)> = Vec::new();
    while let Some(call) = left.pop() {
        let places = call.places.clone();
        match ask(open_meteo, &items[places.clone()], call.tries).await {
            Ok(elements) => {
                faults = 0;
                answers.elements.extend(places.zip(elements));
                let suspected = suspects.drain(..).map(|(index, _)| index..index + 1);
                left.extend(suspected.flat_map(Call::alone));
                left.extend(aside.drain(..).rev().flat_map(|(call, _)| call.halves()));
            }
            Err(Error::Rejected(reason)) if places.len() == 1 => {
                answers.rejected.push((places.start, reason));
            }
            Err(error @ Error::Broken(_)) if call.is_last_word => {
                answers.broken.push((places.start, error.to_string()));
            }
            Err(error @ Error::Broken(_)) if places.len() == 1 => {
                suspects.push((places.start, error.to_string()));
            }
            Err(error @ (Error::Rejected(_) | Error::Broken(_))) => {
                faults += 1;
                if faults > MOST_FAULTS_IN_A_ROW {
                    aside.push((call, error));
                } else {
                    left.extend(call.halves());
                }
            }
            Err(error) => {
                answers.end = Some(error);
                break;
            }
        }
    }
    if answers.end.is_none() {
        for (call, error) in aside {
            match error {
                Error::Rejected(reason) => {
                    let rejected = call.places.map(|index| (index, reason.clone()));
                    answers.rejected.extend(rejected);
                }
                error => answers.end = Some(error),
            }
        }
    }
    if answers.end.is_none() {
        answers.broken.append(&mut suspects);
        if !answers.elements.is_empty() {
            open_meteo.is_well();
        }
    }
    answers
}
