//! How much to remove before looking at the volume again.

/// How many of the next files make a batch: up to `batch` files, ending with
/// the one whose expected bytes reach `need` (`None`: no volume target). So
/// a batch takes at most one file more than is needed.
pub fn next_batch(expected: impl IntoIterator<Item = u64>, batch: usize, need: Option<u64>) -> usize {
    let Some(need) = need else {
        return expected.into_iter().take(batch).count();
    };
    let mut sum: u64 = 0;
    expected
        .into_iter()
        .take(batch)
        .take_while(|bytes| {
            let wanted = sum < need;
            sum = sum.saturating_add(*bytes);
            wanted
        })
        .count()
}
