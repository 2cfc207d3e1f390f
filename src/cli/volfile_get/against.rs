use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use glusterd_client::volfile::{Graph, Volfile, diff};

use super::{Exit, Failure, Format, invalid, output};

/// How long a mount may take to show its volfile: one that hangs never does.
const MOUNT: Duration = Duration::from_secs(10);

/// `--diff`: what would change for a file, or for a mount, with the volfile that the cluster has now.
pub(super) async fn run(path: &Path, new: &[u8], format: Format) -> Result<(), Failure> {
    let (old, mounted) = read(path.to_owned()).await?;
    let new = Volfile::parse(new).map_err(|error| invalid(&[error.to_string()]))?;
    let old = Volfile::parse(&old).map_err(|error| {
        Failure::new(Exit::InvalidVolfile, format_args!("{}: not a volfile: {error}", path.display()))
    })?;
    let old = if mounted { old.without_run_time() } else { old };
    let (Some(old), Some(new)) = (Graph::new(&old), Graph::new(&new)) else {
        return Err(invalid(&["no volume in it".to_owned()]));
    };
    let change = diff(&old, &new);
    let text = match format {
        Format::Json => {
            serde_json::to_string_pretty(&change).map_err(|error| Failure::other("cannot print", error))?
                + "\n"
        }
        _ if change.items.is_empty() => "no change\n".to_owned(),
        _ => format!("{}:\n{change}", change.class),
    };
    output::print(text.as_bytes())
}

/// The file, or the volfile of the graph that is active in the mount at `path`; and which of the two it is.
async fn read(path: PathBuf) -> Result<(Vec<u8>, bool), Failure> {
    let shown = path.display().to_string();
    let read = tokio::task::spawn_blocking(move || {
        let mounted = fs::metadata(&path)?.is_dir();
        let file = if mounted { path.join(".meta/graphs/active/volfile") } else { path };
        fs::read(file).map(|text| (text, mounted))
    });
    let outcome = match tokio::time::timeout(MOUNT, read).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(io::Error::other(error)),
        Err(_) => {
            Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {MOUNT:?}: it hangs")))
        }
    };
    outcome.map_err(|error| {
        let advice = format_args!("{error} (a volfile or the mount point of a Gluster volume is wanted)");
        Failure::other(format_args!("cannot read {shown}"), advice)
    })
}
