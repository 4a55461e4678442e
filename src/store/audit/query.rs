//! Asking the audit log, newest first: from the end of the newest segment
//! backwards, past the blocks that can't hold what is asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::filter_bits::{self, Key};
use super::indexing::Indexed;
use super::records::{OUTCOME, ReadFrame};
use super::sidecar::Block;
use super::wanted::Wanted;
use super::{AuditError, AuditFilter, AuditLog, AuditRecord, NotRemoved, Outcome, segment};
use crate::store::StoreError;

/// Place of a record in the log, for good; prints as text for clients.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditCursor {
    /// Number of the segment.
    pub segment: u32,
    /// Offset of the frame.
    pub offset: u64,
    /// Position in the frame.
    pub entry: u32,
}

impl std::fmt::Display for AuditCursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.segment, self.offset, self.entry)
    }
}

impl std::str::FromStr for AuditCursor {
    type Err = crate::store::index::BadCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || crate::store::index::BadCursor(text.to_owned());
        let mut parts = text.split('.').map(|part| part.parse::<u64>().map_err(|_| bad()));
        let mut next = || parts.next().unwrap_or_else(|| Err(bad()));
        let (segment, offset, entry) = (next()?, next()?, next()?);
        if parts.next().is_some() {
            return Err(bad());
        }
        let small = |n: u64| u32::try_from(n).map_err(|_| bad());
        Ok(Self { segment: small(segment)?, offset, entry: small(entry)? })
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// What it holds.
    pub items: Vec<T>,
    /// Behind which the next page begins; `None` at the end.
    pub next: Option<AuditCursor>,
}

/// A segment that is asked.
pub(super) struct Asked {
    number: u32,
    file: File,
    /// Without: it is one block, of all its frames.
    index: Option<Indexed>,
}

/// Why a block could not be asked.
enum Trouble {
    /// The index does not fit the segment.
    Misfit,
    Io(io::Error),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Asked {
    /// Its blocks, oldest first; where there is no index, the whole.
    fn blocks(&self) -> Vec<Option<&Block>> {
        match &self.index {
            Some(index) => index.blocks.iter().map(Some).collect(),
            None => vec![None],
        }
    }

    /// Where a block begins, and its bytes from there.
    fn read(&self, block: Option<&Block>) -> Result<(u64, Vec<u8>), Trouble> {
        let Some(block) = block else { return Ok((0, segment::read(&self.file)?)) };
        let mut bytes = vec![0; (block.end - block.start) as usize];
        self.file.read_exact_at(&mut bytes, block.start.into())?;
        let end =
            segment::frames(&bytes).last().map(|(at, payload)| at + segment::HEAD + payload.len() as u64);
        if end != Some(bytes.len() as u64) {
            return Err(Trouble::Misfit);
        }
        Ok((block.start.into(), bytes))
    }

    pub(super) fn may_hold_all(&self, block: &Block, keys: &[Key]) -> io::Result<bool> {
        self.index.as_ref().map_or(Ok(true), |index| block.may_hold_all(&index.file, keys))
    }

    fn may_hold(&self, block: &Block, key: Key) -> io::Result<bool> {
        self.index.as_ref().map_or(Ok(true), |index| block.may_hold(&index.file, key))
    }
}

/// What was found, newest first.
struct Found {
    records: Vec<(AuditCursor, AuditRecord)>,
    most: usize,
}

impl Found {
    fn is_full(&self) -> bool {
        self.records.len() >= self.most
    }
}

impl AuditLog {
    /// Records that pass `filter`, newest first, older than the one at `after`.
    pub fn page(
        &self,
        filter: &AuditFilter<'_>,
        after: Option<&AuditCursor>,
        limit: usize,
    ) -> Result<Page<AuditRecord>, AuditError> {
        let failed = |error| StoreError::io("read audit log", &self.dir, error);
        let wanted = Wanted::of(filter);
        // One more tells whether there is a next page.
        let mut found = Found { records: Vec::new(), most: limit.saturating_add(1) };
        let mut numbers = segment::numbers(&self.dir).map_err(failed)?;
        numbers.retain(|number| after.is_none_or(|after| *number <= after.segment));
        for number in numbers.into_iter().rev() {
            if found.is_full() {
                break;
            }
            let Some(mut asked) = self.ask(number).map_err(failed)? else { continue };
            let before = found.records.len();
            match search(&asked, &wanted, after, &mut found) {
                Err(Trouble::Misfit) => {
                    // The segment itself is what counts.
                    self.distrust(&mut asked);
                    found.records.truncate(before);
                    search(&asked, &wanted, after, &mut found).map_err(|trouble| failed(io_of(trouble)))?;
                }
                searched => searched.map_err(|trouble| failed(io_of(trouble)))?,
            }
        }
        let more = found.is_full();
        found.records.truncate(limit);
        let next = found.records.last().filter(|_| more).map(|(at, _)| at.clone());
        self.complete(&mut found.records).map_err(failed)?;
        Ok(Page { items: found.records.into_iter().map(|(_, record)| record).collect(), next })
    }

    /// Opens a segment with what is known of it; `None` if it is gone.
    fn ask(&self, number: u32) -> io::Result<Option<Asked>> {
        let file = match File::open(segment::path(&self.dir, number)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let sealed = number < self.lock().current.number;
        let index = if sealed { self.indexed(number, &file) } else { None };
        if sealed && index.is_none() {
            self.indexing.ring();
        }
        Ok(Some(Asked { number, file, index }))
    }

    fn distrust(&self, asked: &mut Asked) {
        tracing::warn!(
            segment = asked.number,
            "a part of the audit log can't be read where its index says: it is read as a whole"
        );
        asked.index = None;
    }

    /// Says what became of each file: outcomes come behind their batches, soon
    /// or, where the process ended, never.
    fn complete(&self, records: &mut [(AuditCursor, AuditRecord)]) -> io::Result<()> {
        let mut open: HashMap<u64, AuditCursor> = HashMap::new();
        for (at, record) in records.iter() {
            if let AuditRecord::Removal { batch, .. } = record {
                // Newest first: the last one in is the oldest part of the batch.
                open.insert(*batch, at.clone());
            }
        }
        let mut outcomes: HashMap<u64, Vec<NotRemoved>> = HashMap::new();
        let Some(first) = open.values().map(|at| at.segment).min() else { return Ok(()) };
        for number in segment::numbers(&self.dir)?.into_iter().filter(|number| *number >= first) {
            if open.is_empty() {
                break;
            }
            let Some(mut asked) = self.ask(number)? else { continue };
            match gather(&asked, &mut open, &mut outcomes) {
                Err(Trouble::Misfit) => {
                    self.distrust(&mut asked);
                    gather(&asked, &mut open, &mut outcomes).map_err(io_of)?;
                }
                gathered => gathered.map_err(io_of)?,
            }
        }
        for (_, record) in records {
            if let AuditRecord::Removal { batch, outcome, .. } = record {
                *outcome = match (outcomes.get(batch), &*outcome) {
                    (Some(stayed), Outcome::NotRemoved(place)) => stayed
                        .iter()
                        .find(|NotRemoved(n, _)| n.to_string() == *place)
                        .map_or(Outcome::Removed, |NotRemoved(_, why)| Outcome::NotRemoved(why.clone())),
                    _ => Outcome::Unknown,
                };
            }
        }
        Ok(())
    }
}

fn io_of(trouble: Trouble) -> io::Error {
    match trouble {
        Trouble::Io(error) => error,
        Trouble::Misfit => io::Error::other("its frames can't be told apart"),
    }
}

/// Searches one segment backwards.
fn search(
    asked: &Asked,
    wanted: &Wanted<'_>,
    after: Option<&AuditCursor>,
    found: &mut Found,
) -> Result<(), Trouble> {
    let here = after.filter(|after| after.segment == asked.number);
    for block in asked.blocks().into_iter().rev() {
        if found.is_full() {
            return Ok(());
        }
        if let Some(block) = block
            && (here.is_some_and(|here| u64::from(block.start) > here.offset)
                || !wanted.may_be_in(asked, block)?)
        {
            continue;
        }
        let (start, bytes) = asked.read(block)?;
        let mut frames: Vec<(u64, &[u8])> = segment::frames(&bytes).collect();
        while let Some((at, payload)) = frames.pop() {
            let offset = start + at;
            if found.is_full() || here.is_some_and(|here| offset > here.offset) {
                continue;
            }
            search_frame(asked.number, offset, payload, wanted, here, found);
        }
    }
    Ok(())
}

fn search_frame(
    segment: u32,
    offset: u64,
    payload: &[u8],
    wanted: &Wanted<'_>,
    here: Option<&AuditCursor>,
    found: &mut Found,
) {
    if payload.starts_with(OUTCOME) {
        return;
    }
    let Ok(frame) = serde_json::from_slice::<ReadFrame<'_>>(payload) else { return };
    let at = |entry: u32| AuditCursor { segment, offset, entry };
    if let Some(change) = &frame.change {
        if wanted.filter.wants_change(change) && here.is_none_or(|here| at(0) < *here) {
            found.records.push((at(0), AuditRecord::Change(change.clone())));
        }
        return;
    }
    if !frame.header.as_ref().is_some_and(|header| wanted.filter.wants_batch(header)) {
        return;
    }
    for n in (0..frame.entries.len()).rev() {
        if found.is_full() {
            return;
        }
        if here.is_none_or(|here| at(n as u32) < *here)
            && let Some(record) = wanted.row(&frame, n)
        {
            found.records.push((at(n as u32), record));
        }
    }
}

/// Takes the outcomes of open batches out of one segment.
fn gather(
    asked: &Asked,
    open: &mut HashMap<u64, AuditCursor>,
    outcomes: &mut HashMap<u64, Vec<NotRemoved>>,
) -> Result<(), Trouble> {
    for block in asked.blocks() {
        if open.is_empty() {
            return Ok(());
        }
        if let Some(block) = block {
            let mut may = false;
            for (batch, at) in open.iter() {
                // Its outcome lies behind it.
                let behind = asked.number > at.segment || u64::from(block.end) > at.offset;
                let [one, two] = filter_bits::outcome(*batch);
                may |= behind && asked.may_hold(block, one)? && asked.may_hold(block, two)?;
                if may {
                    break;
                }
            }
            if !may {
                continue;
            }
        }
        let (_, bytes) = asked.read(block)?;
        for (_, payload) in segment::frames(&bytes).filter(|(_, payload)| payload.starts_with(OUTCOME)) {
            let Ok(frame) = serde_json::from_slice::<ReadFrame<'_>>(payload) else { continue };
            if let Some((batch, stayed)) = frame.outcome()
                && open.remove(&batch).is_some()
            {
                outcomes.insert(batch, stayed.to_vec());
            }
        }
    }
    Ok(())
}
