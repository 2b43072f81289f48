//! A disk in memory that forgets what was not synced, tears what was under way, and refuses when it is told to.
//!
//! A sync that fails drops what it should have made safe, and the next one works: so do file systems. Strict on purpose: bytes are safe
//! after a sync of their file, names only after a sync of their folder, whatever file systems promise beyond that. The death of a process
//! loses nothing; the loss of power keeps, per file, any part of what was not synced, cut at any byte, and of the changes of names a
//! beginning.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use sluice_relay_node::spool::{Disk, DiskFile};

use super::chance::Dice;

/// One process's hold on a disk. After the process died its handles do nothing.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    life: u64,
}

/// How syncs of files go in one life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Syncs {
    /// They work.
    #[default]
    Work,
    /// The next one fails.
    FailNext,
    /// One of a log failed.
    Failed,
}

#[derive(Debug, Default)]
struct State {
    life: u64,
    refuses: bool,
    forgets_syncs: bool,
    syncs: Syncs,
    files: Vec<Content>,
    names: Names,
    durable_names: Names,
    changes: Vec<Change>,
}

#[derive(Debug, Clone, Default)]
struct Names {
    files: BTreeMap<PathBuf, usize>,
    folders: BTreeSet<PathBuf>,
}

#[derive(Debug, Clone)]
enum Change {
    Folder(PathBuf),
    File(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
    RemoveFolder(PathBuf),
}

impl Names {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Folder(path) => drop(self.folders.insert(path.clone())),
            Change::File(path, file) => drop(self.files.insert(path.clone(), *file)),
            Change::Rename(from, to) => {
                if let Some(file) = self.files.remove(from) {
                    self.files.insert(to.clone(), file);
                }
            }
            Change::Remove(path) => drop(self.files.remove(path)),
            Change::RemoveFolder(path) => {
                self.files.retain(|file, _| !file.starts_with(path));
                self.folders.retain(|folder| !folder.starts_with(path));
            }
        }
    }
}

/// Zeros beyond the stored bytes, up to the length, are not stored.
#[derive(Debug, Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    length: u64,
    durable: Vec<u8>,
    durable_length: u64,
    unsynced: Vec<Write>,
}

#[derive(Debug, Clone)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(u64),
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|kind| kind == "seg")
}

fn put(bytes: &mut Vec<u8>, length: &mut u64, write: &Write) {
    match write {
        Write::Bytes(place, new) => {
            let end = place + new.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*place..end].copy_from_slice(new);
            *length = (*length).max(end as u64);
        }
        Write::Length(to) => {
            *length = *to;
            bytes.truncate(usize::try_from(*to).unwrap_or(usize::MAX));
        }
    }
}

impl Content {
    fn write(&mut self, write: Write) {
        put(&mut self.bytes, &mut self.length, &write);
        self.unsynced.push(write);
    }

    fn sync(&mut self) {
        for write in self.unsynced.drain(..) {
            put(&mut self.durable, &mut self.durable_length, &write);
        }
    }

    fn lose_power(&mut self, dice: &mut Dice) {
        let writes = std::mem::take(&mut self.unsynced);
        for write in writes {
            match write {
                Write::Bytes(place, bytes) => {
                    let kept = match dice.place(4) {
                        0 => 0,
                        1 => dice.place(bytes.len() + 1),
                        _ => bytes.len(),
                    };
                    if kept > 0 {
                        put(&mut self.durable, &mut self.durable_length, &Write::Bytes(place, bytes[..kept].to_vec()));
                    }
                }
                // lengths are part of the journal of names: all or nothing
                Write::Length(_) if dice.permille(300) => {}
                length @ Write::Length(_) => put(&mut self.durable, &mut self.durable_length, &length),
            }
        }
        self.bytes.clone_from(&self.durable);
        self.length = self.durable_length;
    }
}

impl SimDisk {
    /// An empty disk with one folder.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        let mut state = State::default();
        state.names.folders.insert(folder.to_owned());
        state.durable_names = state.names.clone();
        Self { state: Arc::new(Mutex::new(state)), life: 0 }
    }

    /// The process died; what it wrote is there. The hold of the next process.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let mut state = self.state.lock();
        state.life += 1;
        (state.refuses, state.syncs) = (false, Syncs::Work);
        Self { state: Arc::clone(&self.state), life: state.life }
    }

    /// The machine died; what was not synced is there in parts.
    #[must_use]
    pub fn after_power_loss(&self, dice: &mut Dice) -> Self {
        let next = self.after_kill();
        let mut guard = next.state.lock();
        let state = &mut *guard;
        let survive = dice.place(state.changes.len() + 1);
        for change in state.changes.drain(..).take(survive) {
            state.durable_names.apply(&change);
        }
        state.names = state.durable_names.clone();
        for content in &mut state.files {
            content.lose_power(dice);
        }
        drop(guard);
        next
    }

    /// The process died, and something of what one of its folders has on the disk is not as it was written: a byte, or an end.
    #[must_use]
    pub fn after_damage(&self, folder: &Path, dice: &mut Dice) -> Self {
        let next = self.after_kill();
        let mut guard = next.state.lock();
        let state = &mut *guard;
        let is_log = |path: &Path| path.starts_with(folder) && is_segment(path);
        let logs: Vec<usize> = state.names.files.iter().filter(|(path, _)| is_log(path)).map(|(_, file)| *file).collect();
        if let Some(content) = logs.get(dice.place(logs.len())).and_then(|file| state.files.get_mut(*file)) {
            let used = content.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let place = dice.place(used.max(1));
            if dice.permille(500) {
                content.bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 0x40);
            } else {
                content.bytes.iter_mut().skip(place).for_each(|byte| *byte = 0);
            }
            content.durable.clone_from(&content.bytes);
            (content.durable_length, content.unsynced) = (content.length, Vec::new());
        }
        drop(guard);
        next
    }

    /// The next sync of a file fails.
    pub fn fail_sync(&self) {
        self.state.lock().syncs = Syncs::FailNext;
    }

    /// A life begins: what failed before it is not its own.
    pub fn begin(&self) {
        let mut state = self.state.lock();
        if state.syncs == Syncs::Failed {
            state.syncs = Syncs::Work;
        }
    }

    /// Whether a sync of a log failed in this life.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.state.lock().syncs == Syncs::Failed
    }

    /// From here on it refuses every change, or works again.
    pub fn refuse(&self, refuses: bool) {
        self.state.lock().refuses = refuses;
    }

    /// Whether it refuses.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.state.lock().refuses
    }

    /// From here on syncs do nothing and say they did: a mutant.
    pub fn forget_syncs(&self) {
        self.state.lock().forgets_syncs = true;
    }

    fn read<T>(&self, read: impl FnOnce(&State) -> io::Result<T>) -> io::Result<T> {
        let state = self.state.lock();
        if state.life == self.life { read(&state) } else { Err(io::Error::other("the process is gone")) }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        if self.refuses() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.sync(change)
    }

    /// What a full disk does, too: what was written has its place.
    fn sync<T>(&self, sync: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        let mut state = self.state.lock();
        if state.life == self.life { sync(&mut state) } else { Err(io::Error::other("the process is gone")) }
    }

    fn rename_in(state: &mut State, change: Change) {
        state.names.apply(&change);
        state.changes.push(change);
    }

    fn file(&self, number: usize) -> SimFile {
        SimFile { disk: self.clone(), number }
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            if state.names.folders.contains(path) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Self::rename_in(state, Change::Folder(path.to_owned()));
            Ok(())
        })
    }

    fn names_in(&self, path: &Path) -> io::Result<Vec<String>> {
        self.read(|state| {
            let all = state.names.files.keys().chain(&state.names.folders);
            let inside = all.filter(|known| known.parent() == Some(path));
            Ok(inside.filter_map(|known| known.file_name()?.to_str().map(str::to_owned)).collect())
        })
    }

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        let number = self.read(|state| state.names.files.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into()))?;
        Ok(self.file(number))
    }

    fn open_or_make(&self, path: &Path) -> io::Result<SimFile> {
        if let Ok(file) = self.open(path) {
            return Ok(file);
        }
        let number = self.change(|state| {
            if !path.parent().is_some_and(|parent| state.names.folders.contains(parent)) {
                return Err(io::ErrorKind::NotFound.into());
            }
            state.files.push(Content::default());
            let number = state.files.len() - 1;
            Self::rename_in(state, Change::File(path.to_owned(), number));
            Ok(number)
        })?;
        Ok(self.file(number))
    }

    fn is_there(&self, path: &Path) -> bool {
        self.open(path).is_ok()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(|state| {
            if !state.names.files.contains_key(from) {
                return Err(io::ErrorKind::NotFound.into());
            }
            Self::rename_in(state, Change::Rename(from.to_owned(), to.to_owned()));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            if !state.names.files.contains_key(path) {
                return Err(io::ErrorKind::NotFound.into());
            }
            Self::rename_in(state, Change::Remove(path.to_owned()));
            Ok(())
        })
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.change(|state| {
            Self::rename_in(state, Change::RemoveFolder(path.to_owned()));
            Ok(())
        })
    }

    fn sync_folder(&self, _path: &Path) -> io::Result<()> {
        self.sync(|state| {
            for change in state.changes.drain(..) {
                state.durable_names.apply(&change);
            }
            Ok(())
        })
    }
}

/// An open file of a [`SimDisk`].
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    number: usize,
}

impl SimFile {
    fn write(&self, write: Write) -> io::Result<()> {
        self.disk.change(|state| {
            state.files[self.number].write(write);
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.sync(|state| {
            if state.syncs == Syncs::FailNext {
                let is_log = |(path, file): (&PathBuf, &usize)| *file == self.number && is_segment(path);
                let is_of_log = state.names.files.iter().any(is_log);
                state.syncs = if is_of_log { Syncs::Failed } else { Syncs::Work };
                state.files[self.number].unsynced.clear();
                return Err(io::Error::other("the disk is ill"));
            }
            if !state.forgets_syncs {
                state.files[self.number].sync();
            }
            Ok(())
        })
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.read(|state| {
            let content = &state.files[self.number];
            let left = content.length.saturating_sub(offset);
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let stored = content.bytes.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
            let copied = stored.len().min(count);
            bytes[..copied].copy_from_slice(&stored[..copied]);
            bytes[copied..count].fill(0);
            Ok(count)
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write(Write::Bytes(usize::try_from(offset).unwrap_or(usize::MAX), bytes.to_vec()))
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.read(|state| Ok(state.files[self.number].length))
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.write(Write::Length(bytes))
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        self.write(Write::Length(bytes))
    }

    fn sync_bytes(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_everything(&self) -> io::Result<()> {
        self.sync()
    }
}
