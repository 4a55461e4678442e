//! How full a volume is, as a line of text.

/// Characters of the whole bar.
const WIDTH: u32 = 40;
/// Percent from which the agent warns; as in the configuration of the stage.
const WARNING: f64 = 75.0;
/// Percent from which it cleans.
const HIGH: f64 = 90.0;
/// The usage is told again when it changed by so many percent.
const WORTH_TELLING: f64 = 4.0;

/// Whether a change since the last line is worth another; both in percent.
pub(super) fn worth_telling(told: f64, now: f64) -> bool {
    remark(told) != remark(now) || (told - now).abs() >= WORTH_TELLING
}

/// The line for so many percent; with a remark when a mark was crossed since `told`.
pub(super) fn line(told: Option<f64>, percent: f64) -> String {
    let remark = remark(percent);
    let news = told.is_none_or(|told| self::remark(told) != remark);
    let text = format!("  {} {percent:>5.1}%  {}", bar(percent), if news { remark } else { "" });
    text.trim_end().to_owned()
}

const fn remark(percent: f64) -> &'static str {
    if percent >= HIGH {
        "past the high-water mark: emergency cleanup"
    } else if percent >= WARNING {
        "past the warning mark"
    } else {
        ""
    }
}

fn bar(percent: f64) -> String {
    let at = |percent: f64| (percent / 100.0 * f64::from(WIDTH)).round() as u32;
    let filled = at(percent.clamp(0.0, 100.0));
    (0..WIDTH)
        .map(|place| {
            if place < filled {
                '█'
            } else if place == at(WARNING) || place == at(HIGH) {
                '|'
            } else {
                '·'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_with_the_usage_and_shows_both_marks() {
        assert_eq!(bar(0.0), format!("{}|{}|{}", "·".repeat(30), "·".repeat(5), "·".repeat(3)));
        assert_eq!(bar(80.0), format!("{}{}|{}", "█".repeat(32), "·".repeat(4), "·".repeat(3)));
        assert_eq!(bar(250.0), "█".repeat(40));
    }

    #[test]
    fn a_mark_is_remarked_on_when_it_is_crossed_and_not_again() {
        assert!(line(Some(74.0), 76.0).ends_with("76.0%  past the warning mark"));
        assert!(line(Some(76.0), 82.0).ends_with("82.0%"));
        assert!(worth_telling(89.0, 90.0) && worth_telling(90.0, 60.0));
        assert!(!worth_telling(64.0, 67.0));
    }
}
