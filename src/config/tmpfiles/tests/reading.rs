//! Lines are read as systemd 252 reads them; the examples were tried with it.

use std::time::Duration;

use proptest::prelude::*;

use super::super::age;
use super::super::line::{self, Line, Malformed};
use super::*;

fn read(text: &[u8]) -> (Vec<Line>, Vec<Malformed>) {
    let (mut lines, mut malformed) = (Vec::new(), Vec::new());
    line::read(Path::new("t.conf"), text, &mut lines, &mut malformed);
    (lines, malformed)
}

/// The path of the only line.
fn path(text: &str) -> String {
    let (lines, malformed) = read(text.as_bytes());
    let [line] = lines.as_slice() else { panic!("{text}: {malformed:?}") };
    line.path.text().unwrap()
}

#[test]
fn paths_are_read_without_quotes_escapes_and_needless_slashes() {
    for (text, is) in [
        ("d /a//./b/", "/a/b"),
        ("\td\t/a", "/a"),
        ("d \"/a b\"", "/a b"),
        ("d '/a'\" b\"c", "/a bc"),
        ("d /a\\x20\\142\\u00fc\\s", "/a b\u{fc} "),
        ("d /a\\qb", "/a\\qb"),
        ("d /a\\x00", "/a\\x00"),
        ("d %t/a", "/run/a"),
        ("d /%T/a%%", "/tmp/a%"),
        ("d %V%S%C%L%h/%u%U%g%G", "/var/tmp/var/lib/var/cache/var/log/root/root0root0"),
        ("d /a%", "/a%"),
        ("d /", "/"),
    ] {
        assert_eq!(path(text), is, "{text}");
    }
}

#[test]
fn what_systemd_refuses_is_refused_at_its_place() {
    for (text, column, reason) in [
        ("y /a", 1, "no type"),
        ("dd /a", 1, "can't follow"),
        ("d!! /a", 1, "can't follow"),
        ("\"\" /a", 1, "no type"),
        ("d", 1, "without a path"),
        ("d a", 3, "not absolute"),
        ("d %%", 3, "not absolute"),
        ("d  /a%z", 4, "no specifier %z"),
        ("d \"/a - - - 1s", 3, "never closed"),
        ("d /a\\", 5, "nothing behind it"),
        ("d /a abc", 6, "not a mode"),
        ("d /a 17777", 6, "not a mode"),
        ("d /a - - - 1x", 12, "not an age"),
        ("d /\u{fc} - - - -1s", 12, "not an age"),
        ("d /a - - - bm:~1d", 12, "not an age"),
        ("d /a - - - z:1d", 12, "no time of a file"),
        ("d /a - - - :1d", 12, "before the colon"),
        ("f /a - - - 1x", 12, "not an age"),
    ] {
        let (lines, malformed) = read(text.as_bytes());
        assert!(lines.is_empty() && malformed.len() == 1, "{text}: {lines:?}");
        assert_eq!(malformed[0].column, column, "{text}: {}", malformed[0]);
        assert!(malformed[0].reason.contains(reason), "{text}: {}", malformed[0]);
    }
    for text in ["d /a :~0755", "d+ /a", "d~ /a", "x /a - - - - what is this", "d- /a 0755 nobody - - 1x"] {
        assert!(read(text.as_bytes()).1.is_empty(), "{text}");
    }
}

#[test]
fn all_errors_of_a_file_are_told_and_the_other_lines_are_read() {
    let (lines, malformed) = read(b"d a\nd /b - - - 1d\n\n# c\nq\n");
    assert_eq!(lines[0].source.line, 2);
    let shown: Vec<_> = malformed.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["t.conf:1:3: the path is not absolute", "t.conf:5:1: a type without a path"]);
}

#[test]
fn ages_are_summed_and_a_bare_number_is_seconds() {
    for (text, millis) in [
        ("10d", 864_000_000),
        ("1w", 604_800_000),
        ("1h30m", 5_400_000),
        ("1h 30min", 5_400_000),
        ("90", 90_000),
        ("1d2", 86_402_000),
        ("+1.5h", 5_400_000),
        (".5s", 500),
        ("1M", 2_629_800_000),
        ("2months", 5_259_600_000),
        ("1y", 31_557_600_000),
        ("1 ms 2000us", 3),
        ("0", 0),
    ] {
        assert_eq!(age::read(text.as_bytes()).unwrap().span, Some(Duration::from_millis(millis)), "{text}");
    }
    for text in ["", "~", "1x", "1D", "1e3", "1nsec", "-1s", "d", "9999999999999y", "bm:"] {
        assert!(age::read(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn small_letters_say_which_times_of_files_count_and_capital_ones_are_of_directories() {
    let by = |text: &str| words(age::read(text.as_bytes()).unwrap().by).join(" ");
    assert_eq!(by("1d"), "mtime ctime atime btime");
    assert_eq!(by("bmA:1d"), "mtime btime");
    assert_eq!(by("a a:1d"), "atime");
    assert_eq!(by("ABCM:1d"), "mtime ctime atime btime");
    assert!(age::read(b"~bm:1d").unwrap().keeps_first_level);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_what_comes_out_is_a_configuration(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let import = import(&[SourceFile { path: PathBuf::from("t"), bytes }], &Fake);
        settled(&import.to_toml());
    }

    #[test]
    fn lines_of_the_right_kind_never_become_a_wrong_configuration(
        lines in prop::collection::vec(
            "[dDevqQCxXrfzL][!+]?[ \t](/[ab*?{},\\[\\]\\\\%mTü\"'~!.^-]{0,4}){1,3} [~:]?0?7?5?5?- - - (a?m?:)?~?([0-9]{1,3}(s|d|w|y|))?",
            1..8,
        ),
    ) {
        let text = lines.join("\n");
        settled(&from(&text).to_toml());
    }

    #[test]
    fn an_age_that_is_written_reads_back(millis in 0_u64..36_500 * 86_400_000) {
        let span = Duration::from_millis(millis);
        prop_assert_eq!(age::read(show::span(span).as_bytes()).unwrap().span, Some(span));
    }
}
