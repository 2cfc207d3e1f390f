//! The options by which a subcommand finds and speaks to a cluster.

use std::{path::PathBuf, time::Duration};

use clap::{Args, builder::FalseyValueParser};
use glusterd_client::{
    client::Options,
    glusterd::{MAX_KEY, OpVersions},
    transport::{ConnectOptions, Family, ServerAddress, TlsClient, TlsOptions, parse_servers},
};

use super::{Exit, Failure};

/// No doc comment: its brackets would be links.
const SERVERS: &str =
    "host[:port], a comma list of them, [IPv6]:port, or unix:/path; with :/VOLUME behind it, the volume too";

/// Which cluster and which volume.
#[derive(Debug, Args)]
pub(crate) struct Target {
    #[arg(value_name = "SERVERS[:/VOLUME]", env = "KADALU_SERVERS", help = SERVERS)]
    servers: String,
    /// The volume
    #[arg(value_name = "VOLUME", env = "KADALU_VOLUME")]
    volume: Option<String>,
}

/// How to reach the servers, and what is announced to them.
#[derive(Debug, Args)]
pub(crate) struct Connecting {
    #[command(flatten)]
    reaching: Reaching,
    /// Op-versions that are announced; the default blocks no admin's change
    #[arg(long, env = "KADALU_OP_VERSION", value_name = "MIN:MAX")]
    op_version: Option<OpVersions>,
}

/// How to reach the servers.
#[derive(Debug, Args)]
pub(crate) struct Reaching {
    /// Seconds for the whole of a fetch, or for each reply where it watches
    #[arg(long, env = "KADALU_TIMEOUT", value_name = "SECONDS", default_value = "45", value_parser = seconds)]
    timeout: Duration,
    /// Certificates to trust, as in glusterfs.ca; turns TLS on
    #[arg(long, env = "KADALU_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// Our certificate, as in glusterfs.pem; glusterd demands one
    #[arg(long, env = "KADALU_TLS_CERT", value_name = "FILE", requires = "tls_ca", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its key, as in glusterfs.key
    #[arg(long, env = "KADALU_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Use IPv4 only
    #[arg(short = '4', long, env = "KADALU_IPV4", value_parser = FalseyValueParser::new(), conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long, env = "KADALU_IPV6", value_parser = FalseyValueParser::new())]
    ipv6: bool,
}

const DAY: Duration = Duration::from_secs(86_400);

/// A time as flags give it: seconds, up to a day.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::try_from_secs_f64);
    match seconds {
        Some(Ok(duration)) if !duration.is_zero() && duration <= DAY => Ok(duration),
        _ => Err("a number of seconds above 0 and up to 86400, a day, is wanted".to_owned()),
    }
}

impl Target {
    /// The servers; a volume behind them is of no interest.
    pub(crate) fn servers(&self) -> Result<Vec<ServerAddress>, Failure> {
        match self.parse() {
            Ok((servers, _)) => Ok(servers),
            Err(failure) => parse_servers(&self.servers).map_err(|_| failure),
        }
    }

    /// The servers and the volume.
    pub(crate) fn parse(&self) -> Result<(Vec<ServerAddress>, String), Failure> {
        let usage = |message: String| Failure::new(Exit::Usage, message);
        let (servers, volume) = match &self.volume {
            Some(volume) => (self.servers.as_str(), volume.as_str()),
            None => {
                let split = self.servers.rsplit_once(":/");
                // The path of a unix socket is no volume.
                let split = split.filter(|(servers, _)| servers.rsplit(',').next() != Some("unix"));
                let split = split.map(|(servers, volume)| (servers, volume.trim_end_matches('/')));
                split.filter(|(_, volume)| !volume.is_empty()).ok_or_else(|| {
                    usage(format!("no volume in {:?}: say SERVERS VOLUME or SERVERS:/VOLUME", self.servers))
                })?
            }
        };
        if volume.is_empty() {
            return Err(usage("the volume's name is empty".to_owned()));
        }
        if volume.contains('/') && self.volume.is_none() {
            return Err(usage(format!(
                "{volume:?} is not a volume: a subdirectory is not part of a volfile"
            )));
        }
        if volume.len() > MAX_KEY {
            return Err(usage(format!(
                "the volume's name has {} bytes, at most {MAX_KEY} are possible",
                volume.len()
            )));
        }
        let servers = parse_servers(servers).map_err(|error| usage(error.to_string()))?;
        Ok((servers, volume.to_owned()))
    }
}

impl Connecting {
    /// The options for a [`Cluster`](glusterd_client::client::Cluster).
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let op_versions = self.op_version.unwrap_or(OpVersions::ANY);
        Ok(Options { op_versions, ..self.reaching.options()? })
    }
}

impl Reaching {
    /// The options for a [`Cluster`](glusterd_client::client::Cluster), but for what is announced.
    pub(crate) fn options(&self) -> Result<Options, Failure> {
        let family = match (self.ipv4, self.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        };
        let tls = match &self.tls_ca {
            Some(ca) => {
                let identity = self.tls_cert.clone().zip(self.tls_key.clone());
                if identity.is_none() {
                    tracing::warn!(target: "kadalu", "without --tls-cert and --tls-key: glusterd hangs up on clients without a certificate");
                }
                let options = TlsOptions { ca: ca.clone(), identity };
                Some(TlsClient::load(&options).map_err(|error| Failure::new(Exit::Access, error))?)
            }
            None => None,
        };
        let defaults = Options::default();
        let timeout = self.timeout.min(defaults.connect.timeout);
        Ok(Options {
            connect: ConnectOptions { timeout, family, tls, ..defaults.connect },
            fetch: self.timeout,
            reply: self.timeout,
            patience: defaults.patience.min(self.timeout / 2),
            ..defaults
        })
    }
}
