//! Asks a server for all that it tells remote hosts: pool, volumes, and with a volume its description, snapshots, and the
//! state and ports of its bricks.
//!
//! `cargo run --example cluster_info -- SERVER [VOLUME]`

use std::{error::Error, time::Duration};

use glusterd_client::{
    client::Client,
    glusterd::{
        cli::{self, GetVolume, ListVolume},
        handshake::{self, DictRequest, GetSnapshotInfo, GetVolumeInfo},
        portmap::{self, PortByBrick, PortByBrickRequest},
        status::{self, StatusVolume},
    },
    transport::{ConnectOptions, ServerAddress},
    xdr::{Opaque, Text},
};

const PATIENCE: Duration = Duration::from_secs(45);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server: ServerAddress = arguments.next().ok_or("usage: cluster_info SERVER [VOLUME]")?.parse()?;
    let client = Client::connect(&server, &ConnectOptions::default()).await?;
    println!("server {server}, id {:?}", client.uuid(PATIENCE).await?);
    println!("pool {:#?}", client.friends(PATIENCE).await?);
    let none = DictRequest { dict: Opaque(&[]) };
    println!("volumes {:?}", cli::volumes(&client.call::<ListVolume>(&none, PATIENCE).await?)?);

    let Some(volume) = arguments.next() else { return Ok(()) };
    let request = cli::volume_request(&volume);
    let body = client.call::<GetVolume>(&DictRequest { dict: Opaque(&request) }, PATIENCE).await?;
    println!("volume {:#?}", cli::volume(&body)?);
    let request = handshake::volume_id_request(&volume);
    let body = client.call::<GetVolumeInfo>(&DictRequest { dict: Opaque(&request) }, PATIENCE).await?;
    println!("id {:?}", handshake::volume_id(&body)?);
    let request = handshake::snapshots_request(&volume);
    let body = client.call::<GetSnapshotInfo>(&DictRequest { dict: Opaque(&request) }, PATIENCE).await?;
    println!("snapshots {:?}", handshake::snapshots(&body));
    let request = status::detail_request(&volume);
    let body = client.call::<StatusVolume>(&DictRequest { dict: Opaque(&request) }, PATIENCE).await?;
    for brick in status::bricks(&body)? {
        let request = PortByBrickRequest { brick: Text::from(brick.path.as_str()) };
        let body = client.call::<PortByBrick>(&request, PATIENCE).await?;
        println!("port {:?} of {brick:#?}", portmap::port(&body)?);
    }
    Ok(())
}
