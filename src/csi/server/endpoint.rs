//! Where the services are reached.

use std::{
    fmt,
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

use crate::transport::Listener;

/// The path of a unix socket, written `unix:///run/csi.sock`, `unix:/run/csi.sock` or `/run/csi.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(PathBuf);

impl Endpoint {
    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Listens there, for the user of this process only. Its directory is made where it is missing, with mode 0700.
    ///
    /// # Errors
    /// Those of the file system; another process listens there, or what is there is no socket.
    pub fn listen(&self) -> io::Result<Listener> {
        if let Some(directory) = self.0.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        }
        Listener::unix(&self.0)
    }
}

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("unix:").unwrap_or(text);
        // Both `unix:///path` and `unix:/path`.
        let path = Path::new(path.strip_prefix("//").unwrap_or(path));
        let is_socket = path.extension().is_some_and(|extension| extension == "sock");
        if !path.is_absolute() || !is_socket || path.components().any(|part| part == Component::ParentDir) {
            return Err(format!(
                "{text:?} is no endpoint of CSI: write unix:///DIRECTORY/NAME.sock, an absolute path that ends in .sock"
            ));
        }
        Ok(Self(path.components().collect()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.0.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_as_clusters_write_them() {
        for text in ["unix:///csi/csi.sock", "unix:/csi/csi.sock", "/csi/csi.sock", "unix:////csi//csi.sock"]
        {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.path(), Path::new("/csi/csi.sock"), "{text}");
            assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
        }
        for text in
            ["", "unix://", "unix://csi.sock", "csi.sock", "tcp://0.0.0.0:1", "/csi/csi", "/a/../b.sock"]
        {
            assert!(text.parse::<Endpoint>().unwrap_err().contains("unix:///DIRECTORY/NAME.sock"), "{text}");
        }
    }
}
