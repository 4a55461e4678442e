//! Measurements, which are asked for by hand.

use super::*;

/// CPU time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure_"]
fn measure_the_first_index_of_a_million_files() {
    let tree = tempfile::tempdir_in("/dev/shm").unwrap();
    for dir in 0..10_000 {
        let dir = tree.path().join(format!("{}/{dir}", dir % 100));
        fs::create_dir_all(&dir).unwrap();
        for file in 0..100 {
            File::create(dir.join(format!("job_{file}_x"))).unwrap();
        }
    }
    for _ in 0..2 {
        let start = Instant::now();
        assert!(Command::new("du").arg("-s").arg(tree.path()).status().unwrap().success());
        println!("du -s {:?}", start.elapsed());
        let state = tempfile::tempdir().unwrap();
        let index = open_index(state.path());
        let before = cpu();
        let start = Instant::now();
        let ingest = Ingest::start(index.clone(), settings(), Arc::default()).unwrap();
        ingest.handle().add_root(task(tree.path())).unwrap();
        ingest.handle().settle(KEY, later()).unwrap();
        println!("first index {:?}, {:?} CPU", start.elapsed(), cpu() - before);
        println!("{:?}", ingest.handle().status(KEY).unwrap());
        let start = Instant::now();
        ingest.handle().request_rescan(KEY).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        wait_for("compared", || ingest.handle().status(KEY).unwrap().confidence == Confidence::Exact);
        println!("compared in {:?}", start.elapsed());
        assert!(ingest.join());
    }
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure_"]
fn measure_a_writer_at_full_speed() {
    let tree = tempfile::tempdir_in("/dev/shm").unwrap();
    let script = "import os,sys\nfor n in range(300000):\n p='%s/%d'%(sys.argv[1],n)\n f=os.open(p,65)\n os.write(f,b'x')\n os.close(f)\n if n%2: os.unlink(p)";
    let write = || {
        let start = Instant::now();
        let status = Command::new("python3").args(["-c", script]).arg(tree.path()).status().unwrap();
        assert!(status.success());
        start.elapsed()
    };
    let alone = write();
    fs::remove_dir_all(tree.path()).unwrap();
    fs::create_dir(tree.path()).unwrap();
    let state = tempfile::tempdir().unwrap();
    let index = open_index(state.path());
    let ingest = Ingest::start(index.clone(), settings(), Arc::default()).unwrap();
    let task = task(tree.path());
    ingest.handle().add_root(task.clone()).unwrap();
    ingest.handle().settle(KEY, later()).unwrap();
    let before = cpu();
    let followed = write();
    let end = Instant::now();
    ingest.handle().settle(KEY, later()).unwrap();
    let (after, spent) = (end.elapsed(), cpu() - before);
    println!("writer alone {alone:?}, followed {followed:?}; equal after {after:?}; {spent:?} CPU");
    assert_same(&indexed(&index, task.dir.ino()), &on_disk(tree.path()));
    println!("{:?}", ingest.handle().status(KEY).unwrap());
}
