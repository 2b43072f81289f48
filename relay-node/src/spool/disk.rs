//! The disk under the spool, as much of it as the spool asks for: files of the system in production, a disk that tears and forgets in
//! the simulation. A type parameter everywhere, so that writing a record costs no dispatch.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// A place with folders and files.
pub trait Disk: Clone + Debug + Send + Sync + 'static {
    /// An open file.
    type File: DiskFile;

    /// Makes a folder whose parent is there.
    ///
    /// # Errors
    /// When it is there already, or cannot be made.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// The names of what is in a folder, in any order. Names that are not text are left out.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    fn names_in(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Opens a file that is there, to read and to write.
    ///
    /// # Errors
    /// When it is not there or may not be used.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file to read and to write, and makes it when it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    fn open_or_make(&self, path: &Path) -> io::Result<Self::File>;

    /// Whether there is a file.
    fn is_there(&self, path: &Path) -> bool;

    /// Gives a file another name, at once.
    ///
    /// # Errors
    /// When it is not there, or the disk refuses.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// When it is not there, or the disk refuses.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder and what is in it.
    ///
    /// # Errors
    /// When it is not there, or the disk refuses.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes what was created, renamed and removed in a folder survive a crash of the machine.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// An open file of a [`Disk`].
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Reads some bytes from a place; 0 at the end.
    ///
    /// # Errors
    /// When the disk refuses.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes to a place.
    ///
    /// # Errors
    /// When the disk refuses; any part of them may be written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Its length in bytes.
    ///
    /// # Errors
    /// When the disk refuses.
    fn length(&self) -> io::Result<u64>;

    /// Cuts it, or lengthens it with zeros.
    ///
    /// # Errors
    /// When the disk refuses.
    fn set_length(&self, bytes: u64) -> io::Result<()>;

    /// Lengthens it with zeros whose place on the disk is taken.
    ///
    /// # Errors
    /// When the disk is full or refuses.
    fn preallocate(&self, bytes: u64) -> io::Result<()>;

    /// Makes its bytes survive a crash of the machine.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync_bytes(&self) -> io::Result<()>;

    /// Makes its bytes and its length survive a crash of the machine.
    ///
    /// # Errors
    /// When the disk refuses.
    fn sync_everything(&self) -> io::Result<()>;

    /// Fills a buffer from a place.
    ///
    /// # Errors
    /// When the file ends before, or the disk refuses.
    fn read_exact_at(&self, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.read_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    bytes = bytes.get_mut(count..).unwrap_or_default();
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The files of the system.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    type File = File;

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn names_in(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(path)
    }

    fn open_or_make(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
    }

    fn is_there(&self, path: &Path) -> bool {
        path.exists()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl DiskFile for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn preallocate(&self, bytes: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        use rustix::io::Errno;
        match fallocate(self, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            // a file system without the call gives a sparse file: a full disk then shows as a failed write instead
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => self.set_len(bytes),
            Err(error) => Err(error.into()),
        }
    }

    fn sync_bytes(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn sync_everything(&self) -> io::Result<()> {
        self.sync_all()
    }
}
