//! CSV files with named columns in any order, read by a person's mistakes: every error names its line.

/// One row; its cells are in the order in which the columns were asked for.
pub(crate) struct Row<'r, const N: usize> {
    pub(crate) line: u64,
    pub(crate) cells: [&'r str; N],
}

impl<const N: usize> Row<'_, N> {
    /// An error of this row.
    pub(crate) fn at(&self, reason: impl std::fmt::Display) -> String {
        format!("line {}: {reason}", self.line)
    }
}

/// Hands every row on to `take`.
///
/// # Errors
/// A column that is missing, a row with other cells than the header, and what `take` says.
pub(crate) fn read<const N: usize>(
    csv: &[u8],
    columns: [&str; N],
    mut take: impl FnMut(Row<'_, N>) -> Result<(), String>,
) -> Result<(), String> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(csv);
    let headers = reader
        .headers()
        .map_err(|error| format!("line 1: {error}"))?;
    let mut places = [0; N];
    for (place, name) in places.iter_mut().zip(columns) {
        let found = headers
            .iter()
            .position(|header| header.trim_start_matches('\u{feff}') == name);
        *place = found.ok_or_else(|| {
            let all = columns.join(",");
            format!("line 1: no column {name}; the columns are {all}")
        })?;
    }
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(0, csv::Position::line);
            format!("line {line}: not {N} cells")
        })?;
        take(Row {
            line: record.position().map_or(0, csv::Position::line),
            cells: places.map(|place| record.get(place).unwrap_or_default()),
        })?;
    }
    Ok(())
}
