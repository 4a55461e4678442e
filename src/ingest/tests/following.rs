//! What happens on disk is found and followed.

use super::*;

#[test]
fn the_first_scan_finds_everything() {
    let setup = Setup::new(|tree| plant(tree, 30, 20));
    setup.assert_equal();
    let status = setup.status();
    assert_eq!((status.state, status.confidence), (RootState::Ready, Confidence::Exact));
    assert_eq!((status.entries, status.directories, status.watched), (600, 61, 61));
}

#[test]
fn changes_are_followed_without_being_asked_for() {
    let setup = Setup::new(|tree| plant(tree, 2, 2));
    fs::create_dir_all(setup.path("new/deep/er")).unwrap();
    fs::write(setup.path("new/deep/er/f"), b"four").unwrap();
    fs::remove_dir_all(setup.path("d0")).unwrap();
    fs::rename(setup.path("d1/e/f1"), setup.path("new/f1")).unwrap();
    std::os::unix::fs::symlink("nowhere", setup.path("new/link")).unwrap();
    wait_for("index equals disk", || setup.indexed() == on_disk(setup.tree.path()));
    setup.assert_equal();
}

#[test]
fn a_renamed_directory_keeps_its_rows_and_is_followed_at_its_new_place() {
    let setup = Setup::new(|tree| plant(tree, 3, 50));
    fs::rename(setup.path("d0"), setup.path("d1/e/moved")).unwrap();
    fs::write(setup.path("d1/e/moved/e/later"), b"x").unwrap();
    setup.assert_equal();
    fs::rename(setup.path("d1"), setup.path("z")).unwrap();
    fs::remove_file(setup.path("z/e/moved/e/later")).unwrap();
    fs::create_dir(setup.path("d1")).unwrap();
    fs::write(setup.path("d1/f"), b"x").unwrap();
    setup.assert_equal();
    assert_eq!(setup.status().watched, setup.status().directories);
}

#[test]
fn trees_moved_in_and_out_come_and_go() {
    let setup = Setup::new(|tree| plant(tree, 2, 3));
    let outside = tempfile::tempdir_in(setup.tree.path().parent().unwrap()).unwrap();
    plant(outside.path(), 20, 5);
    fs::rename(outside.path(), setup.path("in")).unwrap();
    setup.assert_equal();
    fs::rename(setup.path("in"), outside.path()).unwrap();
    setup.assert_equal();
    let status = setup.status();
    assert_eq!((status.directories, status.watched), (5, 5));
    // What happens there is none of ours.
    fs::write(outside.path().join("d0/e/more"), b"x").unwrap();
    setup.assert_equal();
}

#[test]
fn names_swapped_and_replaced_end_where_they_are() {
    let setup = Setup::new(|tree| plant(tree, 4, 5));
    for _ in 0..20 {
        fs::rename(setup.path("d0"), setup.path("tmp")).unwrap();
        fs::rename(setup.path("d1"), setup.path("d0")).unwrap();
        fs::rename(setup.path("tmp"), setup.path("d1")).unwrap();
        fs::remove_dir_all(setup.path("d2")).unwrap();
        fs::write(setup.path("d2"), b"a file now").unwrap();
        fs::remove_file(setup.path("d2")).unwrap();
        fs::create_dir(setup.path("d2")).unwrap();
        fs::rename(setup.path("d3/e"), setup.path("d2/e")).unwrap();
        fs::remove_dir(setup.path("d3")).unwrap();
        fs::rename(setup.path("d2"), setup.path("d3")).unwrap();
        fs::create_dir_all(setup.path("d2/e")).unwrap();
        setup.assert_equal();
    }
}

#[test]
fn names_of_any_bytes_are_indexed() {
    let names: Vec<Vec<u8>> = vec![
        b"new\nline".to_vec(),
        b"\xff\xfe".to_vec(),
        b"...".to_vec(),
        b"\x1b[2J".to_vec(),
        vec![b'n'; 255],
        b" ".to_vec(),
        "\u{202e}".into(),
    ];
    let make = |tree: &Path, prefix: &[u8]| {
        for name in &names {
            let name = [prefix, name].concat();
            let name = std::ffi::OsStr::from_bytes(&name[..name.len().min(255)]);
            fs::create_dir(tree.join(name)).unwrap();
            fs::write(tree.join(name).join(name), b"x").unwrap();
        }
    };
    let setup = Setup::new(|tree| make(tree, b""));
    make(setup.tree.path(), b"b");
    setup.assert_equal();
}

#[test]
fn a_link_elsewhere_changes_what_is_known_of_the_other_names() {
    let setup = Setup::new(|tree| {
        fs::create_dir(tree.join("a")).unwrap();
        fs::create_dir(tree.join("b")).unwrap();
        fs::write(tree.join("a/f"), b"data").unwrap();
    });
    let nlink = |below: &str| {
        let path = RelPath::from_bytes(below.as_bytes()).unwrap();
        match setup.index.snapshot().unwrap().lookup(KEY, &path).unwrap() {
            Some(crate::store::index::Found::File(file)) => (file.entry.nlink, file.entry.ctime),
            other => panic!("{other:?}"),
        }
    };
    let is = |below: &str| {
        let meta = fs::metadata(setup.path(below)).unwrap();
        (meta.nlink() as u32, crate::model::Timestamp::from_unix(meta.ctime(), meta.ctime_nsec() as u32))
    };
    fs::hard_link(setup.path("a/f"), setup.path("b/g")).unwrap();
    setup.assert_equal();
    assert_eq!((nlink("b/g"), nlink("b/g").0), (is("b/g"), 2));
    assert_eq!(nlink("a/f"), is("a/f"));
    fs::hard_link(setup.path("a/f"), setup.path("b/h")).unwrap();
    setup.assert_equal();
    assert_eq!((nlink("b/g"), nlink("b/g").0), (is("b/g"), 3));
    fs::remove_file(setup.path("b/h")).unwrap();
    fs::remove_file(setup.path("a/f")).unwrap();
    setup.assert_equal();
    assert_eq!((nlink("b/g"), nlink("b/g").0), (is("b/g"), 1));
}
