use glusterd_client::{
    client::{Cluster, Error, NoVolfile},
    glusterd::cli::Friend,
    rpc::CallError,
    transport::ServerAddress,
};
use serde_json::json;

use super::{Failure, Format, output};

/// `--servers`: asks the first server that answers for its pool.
pub(super) async fn run(cluster: &Cluster, format: Format) -> Result<(), Failure> {
    let failures = match cluster.pool().await {
        Ok((server, friends)) => return output::print(show(&server, &friends, format).as_bytes()),
        Err(failures) => failures,
    };
    let reasons = failures.iter().map(|error| format!("\n  {error}{}", advice(error))).collect::<String>();
    let kind = NoVolfile { key: String::new(), failures }.kind();
    Err(Failure::new(kind.into(), format_args!("nobody gave the list of servers:{reasons}")))
}

/// What to do about a server that speaks GETSPEC but not the program of the `gluster` command.
fn advice(error: &Error) -> &'static str {
    match error {
        Error::Call { error: CallError::Refused(_), .. } => {
            " (a volfile server knows no others: ask a glusterd of the cluster)"
        }
        _ => "",
    }
}

fn show(server: &ServerAddress, friends: &[Friend], format: Format) -> String {
    let name = |friend: &Friend| match friend.hostname.as_str() {
        "localhost" => server.to_string(),
        other => other.to_owned(),
    };
    if format == Format::Json {
        let servers = friends.iter().map(|friend| {
            json!({
                "server": name(friend),
                "uuid": friend.uuid,
                "connected": friend.connected,
                "state": friend.state,
                "names": friend.other_names,
                "asked": friend.hostname == "localhost",
            })
        });
        return format!("{:#}\n", json!({ "asked": server.to_string(), "servers": Vec::from_iter(servers) }));
    }
    let mut text = String::new();
    for friend in friends {
        let connected = if friend.connected { "connected" } else { "disconnected" };
        let state = friend.state.as_deref().unwrap_or("asked");
        text += &format!("{:<40} {connected:<13} {} {state}\n", name(friend), friend.uuid);
    }
    text
}
