use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::{net::unix::pipe, time::timeout};
use tracing::{error, info};

use super::Server;
use crate::volfile;

/// Looks at the directory even without a notification: some file systems have none, and queues overflow.
const RESCAN: Duration = Duration::from_secs(5);

/// `DIR/VOLUME.vol`, served and followed.
///
/// Write a file beside it and rename it over the old one. A file that is written in place is read when its writer closes
/// it; one that glusterfs would not load is not served, and what was served before stays.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    server: Server,
    /// An inotify descriptor: it is read as a pipe is.
    notifications: pipe::Receiver,
    /// What came of each file last, so that a change is seen and a fault told once.
    files: BTreeMap<String, Content>,
}

/// The text of a file, or why it cannot be read.
type Content = Result<Vec<u8>, String>;

impl Directory {
    /// Reads the directory and serves what is in it. Needs a runtime.
    pub fn open(path: impl Into<PathBuf>, server: Server) -> io::Result<Self> {
        let path = path.into();
        let notifications = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&notifications, &path, flags)?;
        let notifications = pipe::Receiver::from_owned_fd_unchecked(notifications)?;
        let mut directory = Self { path, server, notifications, files: BTreeMap::new() };
        directory.scan()?;
        Ok(directory)
    }

    /// Follows the directory for ever.
    pub async fn follow(mut self) {
        loop {
            match timeout(RESCAN, self.notifications.readable()).await {
                // What they say is of no interest: the scan sees everything.
                Ok(Ok(())) => while self.notifications.try_read(&mut [0; 4096]).is_ok() {},
                Ok(Err(error)) => error!(%error, "no notifications from the directory"),
                Err(_) => {}
            }
            if let Err(error) = self.scan() {
                error!(path = %self.path.display(), %error, "cannot read the directory; what was served stays");
            }
        }
    }

    fn scan(&mut self) -> io::Result<()> {
        let found = volfiles(&self.path)?;
        for (volume, file) in &found {
            let content = read(file).map_err(|error| error.to_string());
            if self.files.get(volume) == Some(&content) {
                continue;
            }
            match &content {
                Ok(text) => match self.server.publish(volume, text) {
                    Ok(true) => info!(volume, bytes = text.len(), "serving a new volfile"),
                    Ok(false) => {}
                    Err(refused) => error!(%refused, "what was served before stays"),
                },
                Err(error) => error!(file = %file.display(), %error, "what was served before stays"),
            }
            self.files.insert(volume.clone(), content);
        }
        self.files.retain(|volume, _| {
            let there = found.contains_key(volume);
            if !there && self.server.withdraw(volume) {
                info!(volume, "no longer served");
            }
            there
        });
        Ok(())
    }
}

/// The files of a directory that are named as volfiles, by volume.
fn volfiles(directory: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(volume) = name.and_then(|name| name.strip_suffix(".vol")).filter(|name| !name.is_empty())
        {
            found.insert(volume.to_owned(), path);
        }
    }
    Ok(found)
}

/// A plain file, of a size that can be served: a pipe would never end.
fn read(file: &Path) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(file)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a plain file"));
    }
    if metadata.len() > volfile::MAX_SIZE as u64 {
        return Err(io::Error::other(format!(
            "{} bytes, at most {} allowed",
            metadata.len(),
            volfile::MAX_SIZE
        )));
    }
    fs::read(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Limits;

    const VOLFILE: &str = "volume v\n type debug/io-stats\n option log-level INFO\nend-volume\n";

    #[tokio::test]
    async fn files_come_change_break_and_go() {
        let temp = tempfile::tempdir().unwrap();
        let file = temp.path().join("one.vol");
        fs::write(&file, VOLFILE).unwrap();
        fs::write(temp.path().join("notes.txt"), "no volfile").unwrap();
        let server = Server::new(Limits::default());
        let mut directory = Directory::open(temp.path(), server.clone()).unwrap();
        assert_eq!(server.volumes(), ["one"]);

        fs::write(&file, "volume v").unwrap();
        directory.scan().unwrap();
        assert_eq!(server.volumes(), ["one"], "a broken file does not take the volume away");

        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("nowhere", &file).unwrap();
        directory.scan().unwrap();
        assert_eq!(server.volumes(), ["one"], "nor does one that cannot be read");

        fs::remove_file(&file).unwrap();
        directory.scan().unwrap();
        assert!(server.volumes().is_empty());

        let mut changes = server.volumes.subscribe();
        let follow = tokio::spawn(directory.follow());
        fs::write(temp.path().join("new"), VOLFILE).unwrap();
        fs::rename(temp.path().join("new"), temp.path().join("two.vol")).unwrap();
        assert_eq!(&*changes.recv().await.unwrap(), "two");
        follow.abort();
    }
}
