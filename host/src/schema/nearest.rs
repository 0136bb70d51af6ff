//! Which known name was probably meant. Owns the measure of nearness, used for keys and for names alike.

/// The candidate nearest to `name`, when it is near enough to have been meant.
///
/// Names that differ only in case or in `-`, `_` and `.` are always near; otherwise a third of the
/// letters (at least one) may be wrong, missing, doubled or swapped.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let meant = folded(name);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&meant, &folded(candidate)), candidate))
        .filter(|(distance, candidate)| {
            let longer = name.chars().count().max(candidate.chars().count());
            *distance <= (longer / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn folded(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_' | '.' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn slips_of_the_keyboard_are_recognised_and_other_words_are_not() {
        let known = ["session_ttl", "port", "host", "log_level"];
        assert_eq!(nearest("sesion_ttl", known), Some("session_ttl"));
        assert_eq!(nearest("logLevel", known), Some("log_level"));
        assert_eq!(nearest("prot", known), Some("port"));
        assert_eq!(nearest("frobnicate", known), None);
    }
}
