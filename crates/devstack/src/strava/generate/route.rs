//! Routes: a wobbly round that begins and ends near its place, as Google's encoded polyline.

use std::f64::consts::TAU;

use fastrand::Rng;

use super::place::Place;

const METRES_PER_DEGREE: f64 = 111_320.0;

/// Latitude and longitude of each point.
pub(super) fn round(rng: &mut Rng, place: &Place, metres: f64) -> Vec<(f64, f64)> {
    let count = ((metres / 120.0) as usize).clamp(24, 110);
    let radius = metres / TAU / 1.15;
    let (shift_north, shift_east) = (rng.f64() - 0.5, rng.f64() - 0.5);
    let turn = rng.f64() * TAU;
    let (three, five) = (rng.f64() * TAU, rng.f64() * TAU);
    let stretch = METRES_PER_DEGREE * place.latitude.to_radians().cos();
    let point = |index: usize, noise: f64| {
        let angle = turn + TAU * index as f64 / (count - 1) as f64;
        let reach = radius
            * (1.0 + 0.22 * (3.0 * angle + three).sin() + 0.1 * (5.0 * angle + five).sin() + noise);
        let north = shift_north * 2_000.0 + reach * angle.sin() - radius * turn.sin();
        let east = shift_east * 2_000.0 + reach * angle.cos() - radius * turn.cos();
        (
            place.latitude + north / METRES_PER_DEGREE,
            place.longitude + east / stretch,
        )
    };
    (0..count)
        .map(|index| point(index, (rng.f64() - 0.5) * 0.03))
        .collect()
}

/// <https://developers.google.com/maps/documentation/utilities/polylinealgorithm>, five decimals.
pub(super) fn polyline(points: &[(f64, f64)]) -> String {
    let mut text = String::new();
    let (mut latitude, mut longitude) = (0, 0);
    for point in points {
        let next = (
            (point.0 * 1e5).round() as i64,
            (point.1 * 1e5).round() as i64,
        );
        encode(&mut text, next.0 - latitude);
        encode(&mut text, next.1 - longitude);
        (latitude, longitude) = next;
    }
    text
}

fn encode(text: &mut String, delta: i64) {
    let mut rest = if delta < 0 { !(delta << 1) } else { delta << 1 };
    loop {
        let chunk = (rest & 0x1f) as u8;
        rest >>= 5;
        let more = if rest > 0 { 0x20 } else { 0 };
        text.push(char::from(chunk + more + 63));
        if rest == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_polyline_is_encoded_as_the_algorithm_s_page_says() {
        let points = [(38.5, -120.2), (40.7, -120.95), (43.252, -126.453)];
        assert_eq!(polyline(&points), "_p~iF~ps|U_ulLnnqC_mqNvxq`@");
    }
}
