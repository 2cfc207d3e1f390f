use glusterd_client::{
    client::{Fetched, digest},
    volfile::{Graph, Volfile},
};
use serde_json::{Value, json};

use super::{Failure, Format, invalid};

/// A volfile in one of the formats; but for the raw one, credentials are left out.
pub(super) fn show(format: Format, volume: &str, fetched: &Fetched) -> Result<Vec<u8>, Failure> {
    match format {
        Format::Raw => return Ok(fetched.text.to_vec()),
        Format::Digest => return Ok(format!("{}\n", digest(&fetched.text)).into()),
        Format::Json | Format::Tree | Format::Dot => {}
    }
    let volfile = Volfile::parse(&fetched.text[..]).map_err(|error| invalid(&[error.to_string()]))?;
    let graph = Graph::new(&volfile).ok_or_else(|| invalid(&["no volume in it".to_owned()]))?;
    Ok(match format {
        Format::Tree => graph.tree().to_string().into(),
        Format::Dot => graph.dot().to_string().into(),
        _ => format!("{:#}\n", object(volume, fetched, &graph)).into(),
    })
}

/// The JSON form: what the volume is, where it came from, and its translators from the bottom up.
pub(super) fn object(volume: &str, fetched: &Fetched, graph: &Graph<'_>) -> Value {
    let xlators = graph.xlators().map(|xlator| {
        let options = xlator.shown_options().map(|(key, value)| (key, Value::from(value)));
        json!({
            "name": xlator.name().to_string(),
            "type": xlator.xlator_type().to_string(),
            "options": options.collect::<serde_json::Map<_, _>>(),
            "subvolumes": xlator.children().map(|child| child.name().to_string()).collect::<Vec<_>>(),
        })
    });
    json!({
        "volume": volume,
        "server": fetched.server.to_string(),
        "servers": fetched.others.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "digest": digest(&fetched.text),
        "bytes": fetched.text.len(),
        "kind": graph.kind(),
        "translators": xlators.collect::<Vec<_>>(),
    })
}
