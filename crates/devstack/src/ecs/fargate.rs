//! The sizes in which Fargate sells tasks.

use super::wire::Refusal;

/// CPU units and the memory that Fargate sells with them, in MiB: smallest, largest, step.
const FARGATE_SIZES: [(u32, u32, u32, u32); 7] = [
    (256, 512, 2048, 512),
    (512, 1024, 4096, 1024),
    (1024, 2048, 8192, 1024),
    (2048, 4096, 16_384, 1024),
    (4096, 8192, 30_720, 1024),
    (8192, 16_384, 61_440, 4096),
    (16_384, 32_768, 122_880, 8192),
];

/// The size of a Fargate task; only certain pairs are sold.
pub(super) fn size(cpu: Option<&str>, memory: Option<&str>) -> Result<(u32, u32), Refusal> {
    let number = |text: Option<&str>, what: &str| {
        text.and_then(|text| text.parse::<u32>().ok())
            .ok_or_else(|| {
                Refusal::client(format!(
                    "Fargate requires that '{what}' be defined at the task level."
                ))
            })
    };
    let (cpu, memory) = (number(cpu, "cpu")?, number(memory, "memory")?);
    let sold = FARGATE_SIZES.iter().any(|&(units, least, most, step)| {
        cpu == units && (least..=most).contains(&memory) && (memory - least).is_multiple_of(step)
    });
    let sold = sold && !(cpu == 256 && memory == 1536);
    sold.then_some((cpu, memory)).ok_or_else(|| {
        Refusal::client(
            "No Fargate configuration exists for given values: check the pair of cpu and memory.",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pairs_that_fargate_sells_are_taken() {
        let is_sold = |cpu: &str, memory: &str| size(Some(cpu), Some(memory)).is_ok();
        assert!(is_sold("256", "512") && is_sold("256", "2048") && is_sold("1024", "8192"));
        assert!(!is_sold("256", "1536") && !is_sold("256", "4096") && !is_sold("300", "512"));
        assert!(size(None, Some("512")).is_err());
    }
}
