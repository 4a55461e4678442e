//! Measurements, which are asked for by hand.

use super::*;

/// CPU time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure_"]
fn measure_the_removal_of_a_fifth_of_50_000_watched_directories() {
    let tree = tempfile::tempdir_in("/dev/shm").unwrap();
    let watcher = watcher();
    let start = Instant::now();
    for top in 0..50 {
        fs::create_dir(tree.path().join(top.to_string())).unwrap();
        for sub in 0..1_000 {
            let dir = tree.path().join(format!("{top}/{sub}"));
            fs::create_dir(&dir).unwrap();
            add(&watcher, &dir, FILES);
        }
    }
    println!("added in {:?}: {:?}", start.elapsed(), watcher.status());
    let before = cpu();
    let start = Instant::now();
    let removed =
        Command::new("rm").arg("-rf").args((0..10).map(|top| tree.path().join(top.to_string()))).status();
    assert!(removed.unwrap().success());
    let rm = start.elapsed();
    watcher.drain();
    let batch = watcher.take();
    println!("rm {rm:?}, followed after {:?} with {:?} CPU", start.elapsed(), cpu() - before);
    assert!(batch.lost.is_empty());
    assert_eq!(watcher.status().overflows, 0);
    assert_eq!(watcher.status().directories, 40_000);
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture measure_"]
fn measure_a_storm_of_creations() {
    let tree = tempfile::tempdir_in("/dev/shm").unwrap();
    let reader = std::thread::current();
    let watcher = Watcher::start(Settings::default(), move || reader.unpark());
    add(&watcher, tree.path(), FILES);
    let script = "import os,sys\nfor n in range(300000):\n os.close(os.open('%s/%d'%(sys.argv[1],n),65))\n if n%2: os.unlink('%s/%d'%(sys.argv[1],n))";
    let start = Instant::now();
    let before = cpu();
    let path = tree.path().to_owned();
    let writer = std::thread::spawn(move || {
        let status = Command::new("python3").args(["-c", script]).arg(path).status().unwrap();
        assert!(status.success());
        start.elapsed()
    });
    let mut events = 0;
    while events < 750_000 {
        std::thread::park_timeout(Duration::from_millis(100));
        // As ingest does: what comes within moments of the first hint is fetched with it.
        std::thread::sleep(Duration::from_millis(10));
        let batch = watcher.take();
        assert!(batch.lost.is_empty(), "lost after {events}: {:?}", watcher.status());
        events += batch.seen.len();
        assert!(start.elapsed() < Duration::from_secs(60), "{events}");
    }
    let all = start.elapsed();
    println!("{events} events in {all:?} (writer {:?}), {:?} CPU", writer.join().unwrap(), cpu() - before);
}
