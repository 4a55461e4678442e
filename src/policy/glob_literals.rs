//! What every path that a glob accepts must contain: by it an index leaves out
//! what can't match, without asking the glob.

/// Texts of at least three bytes that stand in every absolute path which
/// [`super::Globs`] made of `glob` covers, when a slash is appended to that path.
/// Fewer than there could be where the glob has classes, alternatives or escapes;
/// none says nothing.
pub fn literals(glob: &str) -> Vec<Vec<u8>> {
    let plain = glob.strip_suffix('/').unwrap_or(glob);
    let plain = plain.strip_prefix('/').unwrap_or(plain);
    // Behind these it would take the glob's own grammar to tell what is literal.
    let known = plain.find(['[', '{', '\\']).unwrap_or(plain.len());
    // A glob begins behind a slash and ends before one: it covers whole components.
    let mut text = format!("/{}", &plain[..known]);
    if known == plain.len() {
        text.push('/');
    }
    text.split(['*', '?']).filter(|run| run.len() >= 3).map(|run| run.as_bytes().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::RelPath;
    use crate::policy::Globs;

    #[test]
    fn a_globs_literals_are_bounded_by_the_slashes_around_its_components() {
        let shown = |glob| {
            let all = literals(glob).into_iter().map(|run| String::from_utf8(run).unwrap());
            all.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(shown("*.tmp"), ".tmp/");
        assert_eq!(shown("/scratch/run/**/part_*"), "/scratch/run/ /part_");
        assert_eq!(shown("job_42"), "/job_42/");
        assert_eq!(shown("out/x[12].log"), "/out/x");
        assert_eq!(shown("*"), "");
    }

    proptest! {
        #[test]
        fn no_covered_path_is_without_them(
            glob in "(/)?([ab*?]|\\*\\*|\\{a,b\\}|[ab][ab]|/|\\[ab\\]|\\\\a){1,6}(/)?",
            path in "[ab]{1,3}(/[ab]{1,3}){0,3}",
        ) {
            let Ok(globs) = Globs::compile(std::slice::from_ref(&glob)) else { return Ok(()) };
            if globs.covers(&RelPath::from_bytes(path.as_bytes()).unwrap()) {
                let absolute = format!("/{path}/");
                for run in literals(&glob) {
                    let run = String::from_utf8(run).unwrap();
                    prop_assert!(absolute.contains(&run), "{glob} covers {path} without {run:?}");
                }
            }
        }
    }
}
