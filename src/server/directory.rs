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
    /// What was read last from each file, faulty ones too, so that a fault is told once.
    files: BTreeMap<String, Vec<u8>>,
}

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
            match fs::read(file) {
                Ok(text) if self.files.get(volume) == Some(&text) => {}
                Ok(text) => {
                    match self.server.publish(volume, &text) {
                        Ok(true) => info!(volume, bytes = text.len(), "serving a new volfile"),
                        Ok(false) => {}
                        Err(refused) => error!(%refused, "what was served before stays"),
                    }
                    self.files.insert(volume.clone(), text);
                }
                // Gone since it was listed, or not ours to read: the next scan knows.
                Err(error) => {
                    error!(file = %file.display(), %error, "cannot read a volfile; what was served before stays")
                }
            }
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

/// The files of a directory that are volfiles of no more than the size that can be served, by volume.
fn volfiles(directory: &Path) -> io::Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let Some(volume) =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".vol"))
        else {
            continue;
        };
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_file() && metadata.len() <= volfile::MAX_SIZE as u64 => {
                found.insert(volume.to_owned(), path);
            }
            Ok(_) => error!(file = %path.display(), "neither a plain file nor of a volfile's size: left out"),
            // Gone since it was listed.
            Err(error) => error!(file = %path.display(), %error, "left out"),
        }
    }
    Ok(found)
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
