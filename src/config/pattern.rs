//! The syntax of name patterns such as `job_{job}_chunk_{chunk}_*`.

/// Whether a name pattern is well formed: one component with exactly one
/// `{job}`, at most one `{chunk}`, any number of `*`, and literals, where two
/// placeholders never touch (nothing would tell where one ends).
///
/// # Errors
/// Says what is wrong, for people.
pub fn check_pattern(text: &str) -> Result<(), String> {
    if text.contains(['/', '\0']) {
        return Err("a pattern matches one component, so it has no \"/\"".to_owned());
    }
    let (mut jobs, mut chunks) = (0, 0);
    let mut rest = text;
    let mut after_placeholder = false;
    while let Some(c) = rest.chars().next() {
        let (placeholder, length) = if rest.starts_with("{job}") {
            jobs += 1;
            (true, "{job}".len())
        } else if rest.starts_with("{chunk}") {
            chunks += 1;
            (true, "{chunk}".len())
        } else if matches!(c, '{' | '}') {
            return Err("of braces there are only {job} and {chunk}".to_owned());
        } else {
            (false, c.len_utf8())
        };
        if placeholder && after_placeholder {
            return Err("between {job} and {chunk} something must stand".to_owned());
        }
        after_placeholder = placeholder;
        rest = &rest[length..];
    }
    match (jobs, chunks) {
        (1, 0 | 1) => Ok(()),
        (0, _) => Err("without {job}".to_owned()),
        (1, _) => Err("{chunk} more than once".to_owned()),
        _ => Err("{job} more than once".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_names_exactly_one_job() {
        for good in ["job_{job}", "{job}", "job_{job}_chunk_{chunk}_*", "*-{job}.tmp", "ü{job}"] {
            assert_eq!(check_pattern(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "*",
            "{job}{job}",
            "{job}_{job}",
            "{chunk}",
            "{job}{chunk}",
            "a/{job}",
            "{job}{",
            "{x}{job}",
            "{job}_{chunk}_{chunk}",
        ] {
            assert!(check_pattern(bad).is_err(), "{bad}");
        }
    }
}
