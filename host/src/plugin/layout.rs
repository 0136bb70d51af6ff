//! The useful part of `abi_stable`'s report of a layout that differs: its hundreds of lines show both
//! types whole, and at their end what differs.

/// Which types differ in what, one line each; the last lines when the report has another form.
pub(super) fn differences(report: &str) -> String {
    let mut lines = report
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let mut found: Vec<String> = Vec::new();
    let (mut of, mut in_header) = (String::new(), false);
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("type:").filter(|_| in_header) {
            name.clone_into(&mut of);
        } else if let Some(what) = line.strip_prefix("Error:") {
            let expected = value_after("Expected:", &mut lines);
            let actual = value_after("Found:", &mut lines);
            found.push(format!(
                "`{of}`: {what}: expected `{expected}`, found `{actual}`"
            ));
        }
        in_header = line.contains("Type Layout");
    }
    if found.is_empty() {
        return last_lines(report);
    }
    found.join("\n")
}

/// The first line behind a head, without the name of the line itself.
fn value_after<'a>(head: &str, lines: &mut impl Iterator<Item = &'a str>) -> &'a str {
    let value = lines.skip_while(|line| *line != head).nth(1).unwrap_or("?");
    value.strip_prefix("field_name:").unwrap_or(value)
}

fn last_lines(report: &str) -> String {
    const SHOWN: usize = 6;
    let lines: Vec<&str> = report.trim().lines().map(str::trim).collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_that_differ() {
        let report = "Compared <this>:\n  --- Type Layout ---\n  type:RootModule\n\
            2 error(s)inside:\n Layout of expected type:\n  --- Type Layout ---\n  type:Plugin\n\
              field_name:warmup\n  type:AFunctionPointer\n\n\
            Error:unexpected field\nExpected:\n  field_name:warmup\n  type:AFunctionPointer\n\
            Found:\n  field_name:shutdown\n\n\
            Error:too many fields\nExpected:\n  14\nFound:\n  15\n";
        assert_eq!(
            differences(report),
            "`Plugin`: unexpected field: expected `warmup`, found `shutdown`\n\
             `Plugin`: too many fields: expected `14`, found `15`"
        );
    }

    #[test]
    fn a_report_of_another_form() {
        assert_eq!(differences("a\nb"), "a\nb");
        assert_eq!(differences(""), "");
    }
}
