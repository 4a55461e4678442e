//! Who may have a connection, and who gives his up when there is no room.
//!
//! Promises: there are never more connections than seats; nobody is kept out
//! by those who have one and say nothing: whoever was silent longest gives his
//! up. A request under way is never cut off. Some seats are root's alone, and
//! some are not root's: neither can shut out the other.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Connections at once. Each may wait for a sweep on a blocking thread, of which tokio has 512.
pub(super) const SEATS: usize = 256;

/// So many of them neither root alone nor the others alone can take.
const RESERVED: usize = 32;

/// Connections at once of one uid other than root, so that one user cannot shut out the others.
pub(super) const SEATS_PER_UID: usize = 64;

/// All seats.
#[derive(Clone, Default)]
pub(super) struct Seats(Arc<Shared>);

#[derive(Default)]
struct Shared {
    table: Mutex<Table>,
    /// Somebody has gone.
    left: Notify,
}

#[derive(Default)]
struct Table {
    /// Numbers what happens: the lower, the longer ago.
    next: u64,
    seated: BTreeMap<u64, Seated>,
}

struct Seated {
    uid: u32,
    /// Since when nothing was asked; `None` while a request is under way.
    silent_since: Option<u64>,
    slow: Arc<AtomicBool>,
    /// Told to go.
    leaving: bool,
    leave: Arc<Notify>,
}

/// A connection's seat, given back on drop.
pub(super) struct Seat {
    of: Seats,
    number: u64,
    leave: Arc<Notify>,
    slow: Arc<AtomicBool>,
}

/// What becomes of somebody who comes.
enum Coming {
    Seated(Seat),
    /// When the one who was told to go has gone.
    Soon,
    Refused,
}

impl Seats {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for `uid`; `None` where all are taken by those who are being served.
    pub(super) async fn take(&self, uid: u32) -> Option<Seat> {
        loop {
            // Before looking: nobody leaves unseen in between.
            let left = self.0.left.notified();
            match self.come(uid) {
                Coming::Seated(seat) => return Some(seat),
                Coming::Refused => return None,
                Coming::Soon => left.await,
            }
        }
    }

    fn come(&self, uid: u32) -> Coming {
        let mut table = self.table();
        if let Some(crowded) = table.crowded(uid) {
            return table.make_room(uid, crowded);
        }
        let number = table.tick();
        let (leave, slow) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
        let seated = Seated {
            uid,
            silent_since: Some(number),
            slow: Arc::clone(&slow),
            leaving: false,
            leave: Arc::clone(&leave),
        };
        table.seated.insert(number, seated);
        Coming::Seated(Seat { of: self.clone(), number, leave, slow })
    }
}

#[cfg(test)]
impl Seats {
    /// How many seats are taken.
    pub(super) fn taken(&self) -> usize {
        self.table().seated.len()
    }

    /// How many are taken by requests under way.
    pub(super) fn busy(&self) -> usize {
        self.table().seated.values().filter(|seated| seated.silent_since.is_none()).count()
    }
}

/// What there is too much of.
#[derive(Clone, Copy)]
enum Crowded {
    /// Connections of one uid.
    Own,
    /// Those of root, or those of all others.
    Kind,
    /// All.
    All,
}

impl Crowded {
    const fn holds(self, uid: u32, other: u32) -> bool {
        match self {
            Self::Own => uid == other,
            Self::Kind => (uid == 0) == (other == 0),
            Self::All => true,
        }
    }
}

impl Table {
    fn tick(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn count(&self, uid: u32, crowd: Crowded) -> usize {
        self.seated.values().filter(|seated| crowd.holds(uid, seated.uid)).count()
    }

    fn crowded(&self, uid: u32) -> Option<Crowded> {
        if uid != 0 && self.count(uid, Crowded::Own) >= SEATS_PER_UID {
            Some(Crowded::Own)
        } else if self.count(uid, Crowded::Kind) >= SEATS - RESERVED {
            Some(Crowded::Kind)
        } else {
            (self.seated.len() >= SEATS).then_some(Crowded::All)
        }
    }

    fn make_room(&mut self, uid: u32, crowd: Crowded) -> Coming {
        let among = self.seated.values_mut().filter(|seated| crowd.holds(uid, seated.uid));
        let mut silent = None;
        for seated in among {
            if seated.leaving {
                return Coming::Soon;
            }
            let since = seated.silent_since.filter(|_| !seated.slow.load(Ordering::Relaxed));
            if let Some(since) = since
                && silent.as_ref().is_none_or(|(longest, _)| since < *longest)
            {
                silent = Some((since, seated));
            }
        }
        let Some((_, seated)) = silent else { return Coming::Refused };
        seated.leaving = true;
        seated.leave.notify_one();
        Coming::Soon
    }
}

impl Seat {
    /// Waits until somebody else needs the seat.
    pub(super) async fn needed(&self) {
        self.leave.notified().await;
    }

    /// Whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.of.table().seated.get(&self.number).is_some_and(|seated| seated.silent_since.is_none())
    }

    /// Set while an answer waits for its reader.
    pub(super) fn slow(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.slow)
    }

    /// A request has come whole; it is over when what this returns is dropped.
    pub(super) fn ask(&self) -> Asking {
        if let Some(seated) = self.of.table().seated.get_mut(&self.number) {
            seated.silent_since = None;
            // It came just in time: whoever waits for this seat looks for another.
            if std::mem::take(&mut seated.leaving) {
                self.of.0.left.notify_waiters();
            }
        }
        Asking { of: self.of.clone(), number: self.number }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.of.table().seated.remove(&self.number);
        self.of.0.left.notify_waiters();
    }
}

/// A request under way.
pub(super) struct Asking {
    of: Seats,
    number: u64,
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut table = self.of.table();
        let now = table.tick();
        if let Some(seated) = table.seated.get_mut(&self.number) {
            seated.silent_since = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(seats: &Seats, uid: u32) -> Seat {
        match seats.come(uid) {
            Coming::Seated(seat) => seat,
            Coming::Soon | Coming::Refused => panic!("no seat for uid {uid}"),
        }
    }

    fn busy(seats: &Seats, uid: u32, count: usize) -> Vec<(Asking, Seat)> {
        let seat = || {
            let seat = seat(seats, uid);
            (seat.ask(), seat)
        };
        std::iter::repeat_with(seat).take(count).collect()
    }

    fn is_told_to_go(seats: &Seats, seat: &Seat) -> bool {
        seats.table().seated[&seat.number].leaving
    }

    #[test]
    fn whoever_was_silent_longest_gives_his_seat_up() {
        let seats = Seats::default();
        let mut roots: Vec<_> = (0..SEATS - RESERVED).map(|_| seat(&seats, 0)).collect();
        // The first has asked something since, the second is asking, the third reads its answer.
        drop(roots[0].ask());
        let _asking = roots[1].ask();
        roots[2].slow.store(true, Ordering::Relaxed);
        assert!(matches!(seats.come(0), Coming::Soon));
        assert!(is_told_to_go(&seats, &roots[3]));
        // One at a time: the next waits for the same.
        assert!(matches!(seats.come(0), Coming::Soon));
        assert!(!is_told_to_go(&seats, &roots[4]));
        drop(roots.remove(3));
        assert!(matches!(seats.come(0), Coming::Seated(_)));
    }

    #[test]
    fn a_user_who_has_too_many_gives_up_one_of_his_own() {
        let seats = Seats::default();
        let other = seat(&seats, 1001);
        let own: Vec<_> = (0..SEATS_PER_UID).map(|_| seat(&seats, 1000)).collect();
        assert!(matches!(seats.come(1000), Coming::Soon));
        assert!(is_told_to_go(&seats, &own[0]) && !is_told_to_go(&seats, &other));
        assert!(matches!(seats.come(1001), Coming::Seated(_)));
    }

    #[test]
    fn neither_root_nor_the_others_can_shut_out_the_other_with_requests() {
        let seats = Seats::default();
        let roots = busy(&seats, 0, SEATS - RESERVED);
        assert!(matches!(seats.come(0), Coming::Refused));
        let _others = busy(&seats, 1000, RESERVED);
        assert!(matches!(seats.come(1001), Coming::Refused));
        drop(roots);
        let _many: Vec<_> =
            [1001, 1002, 1003].map(|uid| busy(&seats, uid, SEATS_PER_UID)).into_iter().collect();
        assert!(matches!(seats.come(1004), Coming::Refused));
        assert!(matches!(seats.come(0), Coming::Seated(_)));
    }
}
