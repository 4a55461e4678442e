//! Changes faster than anybody can follow them.

use super::*;

/// A small random number generator (xorshift), so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Random changes below `tree`; those that cannot be done now are no matter.
fn storm(tree: &Path, seed: u64, actions: usize, links: bool) {
    let mut dice = Dice(seed * 7919 + 1);
    let dir = |dice: &mut Dice, least: u64| {
        let depth = least + dice.throw(4 - least);
        (0..depth).fold(tree.to_owned(), |path, _| path.join(format!("d{}", dice.throw(6))))
    };
    for n in 0..actions {
        // The root itself stays.
        let (here, there) = (dir(&mut dice, 0), dir(&mut dice, 0));
        let below = dir(&mut dice, 1);
        let file = here.join(format!("f{}", dice.throw(40)));
        let other = there.join(format!("f{}", dice.throw(40)));
        let _ = match dice.throw(20) {
            0..=7 => fs::write(&file, vec![b'x'; n % 5000]),
            8..=11 => fs::remove_file(&file),
            12..=13 => fs::rename(&file, &other),
            14 if links => fs::hard_link(&file, &other),
            15..=17 => fs::create_dir_all(&here),
            18 => fs::rename(&below, there.join(format!("d{}", dice.throw(6)))),
            _ if dice.throw(4) == 0 => fs::remove_dir_all(&below),
            _ => fs::remove_dir(&below),
        };
    }
}

const STORM: &str = "GUARDIAN_TEST_STORM";

/// Four processes at once, each of them this test again.
fn storm_by_processes(test: &str, tree: &Path, actions: usize, links: bool) {
    let workers: Vec<_> = (1..=4)
        .map(|seed| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", test, "--include-ignored"])
                .env(STORM, format!("{seed} {actions} {} {}", u8::from(links), tree.display()))
                .stdout(std::process::Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    assert!(!on_disk(tree).is_empty(), "nobody changed anything: is {test} the name of a test?");
}

fn is_part_of_storm() -> bool {
    let Ok(part) = std::env::var(STORM) else { return false };
    let mut words = part.splitn(4, ' ');
    let mut number = || words.next().unwrap().parse::<u64>().unwrap();
    let (seed, actions, links) = (number(), number(), number());
    storm(Path::new(words.next().unwrap()), seed, actions as usize, links == 1);
    true
}

#[test]
fn after_a_storm_by_four_processes_the_index_equals_the_disk() {
    if is_part_of_storm() {
        return;
    }
    let setup = Setup::new(|_| ());
    let test = "ingest::tests::storm::after_a_storm_by_four_processes_the_index_equals_the_disk";
    for _ in 0..2 {
        storm_by_processes(test, setup.tree.path(), 2_000, false);
        setup.assert_equal();
    }
    storm_by_processes(test, setup.tree.path(), 2_000, true);
    setup.assert_equal_soon();
    assert_eq!(setup.status().watched, setup.status().directories);
}

#[test]
fn a_tree_that_changes_while_it_is_scanned_is_indexed_as_it_is_in_the_end() {
    let setup = Setup::with(settings(), |tree| plant(tree, 200, 5), |_| ());
    storm(setup.tree.path(), 99, 3_000, false);
    setup.assert_equal();
}

#[test]
fn a_full_inbox_costs_listings_and_nothing_else() {
    let small = crate::watch::Settings { inbox_capacity: 20, ..crate::watch::Settings::default() };
    let setup = Setup::with(Settings { watch: small, ..settings() }, |_| (), |_| ());
    setup.settle();
    storm(setup.tree.path(), 5, 6_000, false);
    setup.assert_equal();
    assert!(setup.status().overflows > 0);
    assert_eq!(setup.status().watched, setup.status().directories);
}

#[test]
fn nested_directories_made_at_full_speed_are_all_found() {
    let setup = Setup::new(|_| ());
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let base = setup.path(&format!("t{thread}"));
            scope.spawn(move || {
                for n in 0..150 {
                    let dir = base.join(format!("a{n}/b/c/d"));
                    fs::create_dir_all(&dir).unwrap();
                    for file in 0..3 {
                        File::create(dir.join(file.to_string())).unwrap();
                    }
                }
            });
        }
    });
    setup.assert_equal();
    assert_eq!(setup.status().entries, 3 * 150 * 3);
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure_"]
fn measure_a_storm_of_100_000_changes() {
    if is_part_of_storm() {
        return;
    }
    let setup = Setup::new(|_| ());
    let start = Instant::now();
    storm_by_processes(
        "ingest::tests::storm::measure_a_storm_of_100_000_changes",
        setup.tree.path(),
        25_000,
        true,
    );
    let (stormed, end) = (start.elapsed(), Instant::now());
    let disk = on_disk(setup.tree.path());
    while setup.indexed() != disk {
        if end.elapsed() > Duration::from_secs(20) {
            assert_same(&setup.indexed(), &disk);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("stormed {stormed:?}, equal {:?} after the end: {:?}", end.elapsed(), setup.status());
    assert!(end.elapsed() < Duration::from_secs(5));
}
