//! What is on a disk while files are written, and what is left of it when the power is cut.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Name, Step};

/// What a disk writes whole. Two neighbours that were written by one call may part.
pub const SECTOR: u64 = 512;

/// Files by name, with all of their bytes.
pub type Files = BTreeMap<Name, Vec<u8>>;

/// A number of chance, below the one that is given.
pub type Below<'a> = &'a mut (dyn FnMut(usize) -> usize + Send);

/// A folder on a disk, at some moment.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// All that there ever were; those without a name are gone.
    files: Vec<File>,
    /// What the program sees.
    names: BTreeMap<Name, usize>,
    /// What is on the disk for certain.
    kept_names: BTreeMap<Name, usize>,
    /// What may have become of it since: a name now means this file, or none.
    later_names: Vec<(Name, Option<usize>)>,
}

#[derive(Clone, Debug, Default)]
struct File {
    /// What is on the disk for certain.
    kept: Vec<u8>,
    /// What was done since, in order.
    later: Vec<(Fate, Change)>,
    /// The next sync brings there what is doubtful, too.
    is_rewritten: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Not synced. May be on the disk.
    Open,
    /// A sync of it failed. May be on the disk, and no later sync brings it there by itself.
    Doubtful,
    /// Synced, on top of something doubtful.
    Certain,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Arc<[u8]>),
    Truncate(u64),
}

/// How much of what is not synced survives a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Survival {
    Nothing,
    Everything,
    /// What came first, and of the last of it some sectors.
    Beginning,
    /// Some of it, whole.
    Some,
    /// Some of it, in any order, of each some sectors, and rubbish where others were to be.
    Chaos,
}

impl Disk {
    /// A disk that has these files, for certain.
    pub fn of(files: &Files) -> Disk {
        let names: BTreeMap<_, _> =
            files.keys().enumerate().map(|(place, name)| (name.clone(), place)).collect();
        Disk {
            files: files
                .values()
                .map(|kept| File { kept: kept.clone(), ..File::default() })
                .collect(),
            kept_names: names.clone(),
            names,
            later_names: Vec::new(),
        }
    }

    /// Does to it what was written down.
    pub fn play(&mut self, step: &Step) {
        match step {
            Step::Created(name) => {
                self.files.push(File::default());
                let place = self.files.len() - 1;
                self.names.insert(name.clone(), place);
                self.later_names.push((name.clone(), Some(place)));
            }
            Step::Written(name, at, bytes) => {
                self.file(name).later.push((Fate::Open, Change::Write(*at, Arc::clone(bytes))));
            }
            Step::Truncated(name, size) => {
                self.file(name).later.push((Fate::Open, Change::Truncate(*size)));
            }
            Step::Synced(name) => self.file(name).sync(),
            Step::SyncFailed(name) => {
                for (fate, _) in &mut self.file(name).later {
                    if *fate == Fate::Open {
                        *fate = Fate::Doubtful;
                    }
                }
            }
            Step::Rewritten(name) => self.file(name).is_rewritten = true,
            Step::Deleted(name) => {
                self.names.remove(name);
                self.later_names.push((name.clone(), None));
            }
            Step::FolderSynced => {
                for (name, place) in std::mem::take(&mut self.later_names) {
                    name_it(&mut self.kept_names, name, place);
                }
            }
            Step::Mark(_) => {}
        }
    }

    /// The files as a program sees them: also after it was killed.
    pub fn seen(&self) -> Files {
        let files = self.names.iter();
        files.map(|(name, place)| (name.clone(), self.files[*place].seen())).collect()
    }

    /// The files as they may be when the power was cut now. `below` gives a number of chance below
    /// its argument.
    pub fn after_cut(&self, below: Below<'_>) -> Files {
        let survival = Survival::of_chance(below);
        let mut names = self.kept_names.clone();
        for (name, place) in &self.later_names {
            let survives = match survival {
                Survival::Nothing => false,
                Survival::Everything => true,
                Survival::Beginning | Survival::Some | Survival::Chaos => below(2) == 0,
            };
            if survives {
                name_it(&mut names, name.clone(), *place);
            }
        }
        let files = names.into_iter();
        files.map(|(name, place)| (name, self.files[place].after_cut(survival, below))).collect()
    }

    fn file(&mut self, name: &Name) -> &mut File {
        let place = self.names.get(name).unwrap_or_else(|| panic!("`{name}` was never created"));
        &mut self.files[*place]
    }
}

fn name_it(names: &mut BTreeMap<Name, usize>, name: Name, place: Option<usize>) {
    match place {
        Some(place) => _ = names.insert(name, place),
        None => _ = names.remove(&name),
    }
}

impl Survival {
    fn of_chance(below: Below<'_>) -> Survival {
        match below(10) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            2..5 => Survival::Beginning,
            5..7 => Survival::Some,
            _ => Survival::Chaos,
        }
    }
}

impl File {
    fn sync(&mut self) {
        let is_rewritten = std::mem::take(&mut self.is_rewritten);
        for (fate, _) in &mut self.later {
            if *fate == Fate::Open || is_rewritten {
                *fate = Fate::Certain;
            }
        }
        if self.later.iter().all(|(fate, _)| *fate == Fate::Certain) {
            for (_, change) in std::mem::take(&mut self.later) {
                change.apply(&mut self.kept);
            }
        }
    }

    fn seen(&self) -> Vec<u8> {
        let mut bytes = self.kept.clone();
        self.later.iter().for_each(|(_, change)| change.apply(&mut bytes));
        bytes
    }

    fn after_cut(&self, survival: Survival, below: Below<'_>) -> Vec<u8> {
        let mut bytes = self.kept.clone();
        // What is certain or doubtful lies in order; what is open comes after it.
        let open = self.later.iter().position(|(fate, _)| *fate == Fate::Open);
        let (settled, open) = self.later.split_at(open.unwrap_or(self.later.len()));
        for (fate, change) in settled {
            match fate {
                Fate::Certain => change.apply(&mut bytes),
                Fate::Open | Fate::Doubtful => match (survival, below(3)) {
                    (Survival::Nothing, _) => {}
                    (Survival::Everything, _) | (_, 0) => change.apply(&mut bytes),
                    (_, 1) => change.apply_torn(&mut bytes, false, below),
                    (_, _) => {}
                },
            }
        }
        let mut open: Vec<_> = open.iter().map(|(_, change)| change).collect();
        match survival {
            Survival::Nothing => {}
            Survival::Everything => open.iter().for_each(|change| change.apply(&mut bytes)),
            Survival::Beginning => {
                let count = below(open.len() + 1);
                for change in &open[..count] {
                    change.apply(&mut bytes);
                }
                if let Some(next) = open.get(count) {
                    next.apply_torn(&mut bytes, false, below);
                }
            }
            Survival::Some => {
                open.iter().filter(|_| below(2) == 0).for_each(|change| change.apply(&mut bytes));
            }
            Survival::Chaos => {
                for place in (1..open.len()).rev() {
                    open.swap(place, below(place + 1));
                }
                for change in open {
                    match below(4) {
                        0 => {}
                        1 => change.apply(&mut bytes),
                        _ => change.apply_torn(&mut bytes, true, below),
                    }
                }
            }
        }
        bytes
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Change::Write(at, written) => put(bytes, *at, written),
            Change::Truncate(size) => bytes.resize(index(*size), 0),
        }
    }

    /// Writes some of the sectors that it touches. Those that are left out stay as they were; where
    /// rubbish is asked for, some become rubbish, as far as they were to be written.
    fn apply_torn(&self, bytes: &mut Vec<u8>, with_rubbish: bool, below: Below<'_>) {
        let Change::Write(at, written) = self else {
            // A size is written whole or not at all.
            if below(2) == 0 {
                self.apply(bytes);
            }
            return;
        };
        let mut begin = 0;
        while begin < written.len() {
            let from = *at + begin as u64;
            let end = written.len().min(begin + index(SECTOR - from % SECTOR));
            match below(if with_rubbish { 8 } else { 2 }) {
                1 | 3 | 5 | 7 => put(bytes, from, &written[begin..end]),
                6 => {
                    let mut rubbish = || below(256).try_into().expect("it is below 256");
                    let rubbish: Vec<u8> = (begin..end).map(|_| rubbish()).collect();
                    put(bytes, from, &rubbish);
                }
                _ => {}
            }
            begin = end;
        }
    }
}

/// Writes into a file, which grows with zeros where this begins behind its end.
fn put(bytes: &mut Vec<u8>, at: u64, written: &[u8]) {
    let at = index(at);
    let end = at + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(written);
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("the files of a test fit into memory")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Numbers without pattern.
    fn dice(mut seed: u64) -> impl FnMut(usize) -> usize {
        move |end| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(seed >> 33).expect("31 bits") % end
        }
    }

    /// What a thousand cuts leave of the file `a`, with runs of the same byte written as one.
    fn left(steps: &[Step]) -> BTreeSet<Option<String>> {
        let mut disk = Disk::default();
        for step in steps {
            disk.play(step);
        }
        let mut dice = dice(1);
        let cut = |_| {
            disk.after_cut(&mut dice).remove("a").map(|mut bytes| {
                bytes.dedup();
                String::from_utf8_lossy(&bytes).replace('\0', "0")
            })
        };
        (0..1_000).map(cut).collect()
    }

    fn write(at: u64, byte: u8, count: usize) -> Step {
        Step::Written("a".into(), at, vec![byte; count].into())
    }

    fn is(found: &BTreeSet<Option<String>>, expected: &[Option<&str>]) {
        let expected: BTreeSet<_> = expected.iter().map(|it| it.map(str::to_owned)).collect();
        assert_eq!(*found, expected);
    }

    #[test]
    fn what_is_synced_stays_and_its_name_with_the_folder() {
        let synced = [Step::Created("a".into()), write(0, b'1', 512), Step::Synced("a".into())];
        is(&left(&synced), &[None, Some("1")]);
        let named = [&synced[..], &[Step::FolderSynced]].concat();
        is(&left(&named), &[Some("1")]);
        let deleted = [&named[..], &[Step::Deleted("a".into())]].concat();
        is(&left(&deleted), &[None, Some("1")]);
        is(&left(&[&deleted[..], &[Step::FolderSynced]].concat()), &[None]);
    }

    #[test]
    fn what_is_not_synced_stays_in_part_and_in_any_order() {
        let begun = [
            Step::Created("a".into()),
            write(0, b'1', 1024),
            Step::Synced("a".into()),
            Step::FolderSynced,
        ];
        let found = left(&[&begun[..], &[write(0, b'2', 1024)]].concat());
        for expected in ["1", "2", "12", "21"] {
            assert!(found.contains(&Some(expected.to_owned())), "{expected}: {found:?}");
        }
        let twice = [write(0, b'2', 512), write(0, b'3', 512)];
        let found = left(&[&begun[..], &twice].concat());
        for expected in ["1", "21", "31"] {
            assert!(found.contains(&Some(expected.to_owned())), "{expected}: {found:?}");
        }
        let beyond = left(&[&begun[..], &[write(2048, b'2', 512)]].concat());
        assert!(beyond.contains(&Some("102".to_owned())), "{beyond:?}");
        let found = left(&[&begun[..], &[Step::Truncated("a".into(), 0)]].concat());
        is(&found, &[Some(""), Some("1")]);
    }

    #[test]
    fn what_a_failed_sync_left_open_no_later_one_mends() {
        let steps = [
            Step::Created("a".into()),
            Step::FolderSynced,
            write(0, b'1', 512),
            Step::SyncFailed("a".into()),
            write(512, b'2', 512),
            Step::Synced("a".into()),
        ];
        is(&left(&steps), &[Some("02"), Some("12")]);
        let again = [&steps[..], &[write(0, b'3', 512), Step::Synced("a".into())]].concat();
        is(&left(&again), &[Some("32")]);
        let rewritten = [Step::Rewritten("a".into()), Step::Synced("a".into())];
        is(&left(&[&steps[..], &rewritten].concat()), &[Some("12")]);
    }
}
