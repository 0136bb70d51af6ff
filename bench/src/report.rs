//! What a run says: one table for people, one file for programs.

use std::{fs, io, io::Write as _, path::Path};

use crate::row::Row;

/// Prints to standard output.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

/// The rows as a table.
pub(crate) fn table(rows: &[Row]) -> String {
    let head = [
        "name", "value", "unit", "baseline", "ratio", "goal", "met", "note",
    ];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(cells));
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut table = String::new();
    for line in &lines {
        let padded: Vec<_> = line.iter().zip(&widths).enumerate().map(pad).collect();
        table.push_str(padded.join("  ").trim_end());
        table.push('\n');
    }
    table
}

/// Writes the rows as JSON, for programs.
pub(crate) fn write(rows: &[Row], file: &Path) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Ok(fs::write(file, serde_json::to_string_pretty(rows)? + "\n")?)
}

fn cells(row: &Row) -> [String; 8] {
    let some = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    [
        row.name.clone(),
        number(row.value),
        row.unit.to_owned(),
        some(row.baseline.map(number)),
        some(row.ratio.map(|ratio| format!("{ratio:.2}"))),
        some(row.goal.map(|goal| goal.to_string())),
        some(row.met.map(|met| if met { "yes" } else { "NO" }.to_owned())),
        row.note.clone(),
    ]
}

/// Numbers stand to the right, words to the left.
fn pad((column, (cell, width)): (usize, (&String, &usize))) -> String {
    let width = *width;
    if matches!(column, 1 | 3 | 4) {
        format!("{cell:>width$}")
    } else {
        format!("{cell:<width$}")
    }
}

/// Three digits or more, and no more behind the point than that takes.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        medium if medium >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::Goal;

    #[test]
    fn columns_stand_under_each_other() {
        let rows = [
            Row::new("vtable/raw", 181.25, "ns")
                .against(36.5)
                .goal(Goal::OverBaseline(300.0)),
            Row::new("start/ready", 120.0, "ms")
                .goal(Goal::Below(100.0))
                .note("index built before"),
        ];
        let expected = "\
name         value  unit  baseline  ratio  goal                     met  note
vtable/raw     181  ns        36.5   4.97  value - baseline <= 300  yes
start/ready    120  ms           -      -  value < 100              NO   index built before
";
        assert_eq!(table(&rows), expected);
    }
}
