//! Tables of outcomes, for the screen and for the pages in docs.

use std::fmt::Write;

/// Aligned columns, with the bars of a Markdown table. The first line is the heads.
#[must_use]
pub fn aligned(mut lines: Vec<Vec<String>>) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    lines.insert(1, widths.iter().map(|&width| "-".repeat(width)).collect());
    let mut text = String::new();
    for line in lines {
        for (word, width) in line.iter().zip(&widths) {
            let _ = write!(text, "| {word:width$} ");
        }
        text.push_str("|\n");
    }
    text
}
