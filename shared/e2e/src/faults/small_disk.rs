//! A disk so small that it can be filled up.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A small disk mounted at a folder. Dropping it takes it away.
pub(super) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(super) fn mount(folder: &Path, megabytes: u32) -> Result<Self, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "sluice-faults"]).arg(folder).output();
        match mounted {
            Ok(output) if output.status.success() => Ok(Self(folder.to_owned())),
            Ok(output) => Err(format!("needs root: {}", String::from_utf8_lossy(&output.stderr).trim())),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}
