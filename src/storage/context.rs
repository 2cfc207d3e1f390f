//! `volume_context`: where a PV is, as it is handed from the controller to the nodes, for ever.

use std::collections::BTreeMap;

use super::{
    error::{Error, Reason},
    handle::PoolId,
};
use crate::{
    mount::{
        options::MountOptions,
        source::{check, shortened},
    },
    transport::ServerAddress,
};

/// Keys of a context, of which kubernetes adds its own.
const MAX_KEYS: usize = 64;

/// Bytes of a value: a path, or a list of servers.
const MAX_VALUE: usize = 16 * 1024;

/// Bytes of the servers that are written: CSI allows 4096 for all of a context.
const MAX_HOSTS: usize = 2048;

/// Where a PV is. Hosts change, and this does not: they are hints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The volume's id, where it is told: the identity.
    pub pool: Option<PoolId>,
    /// Servers that knew the volume; may be empty.
    pub servers: Vec<ServerAddress>,
    /// The volume's name.
    pub volume: String,
    /// The directory of the PV in it, without a `/` at its ends; empty for the whole.
    pub path: String,
    /// Of its mounts.
    pub options: MountOptions,
}

impl Context {
    /// Reads ours and kadalu's: `None` where no volume is named. Other keys are of no interest.
    ///
    /// # Errors
    /// [`Reason::Invalid`] for values that make no sense.
    pub fn read(context: &BTreeMap<String, String>) -> Result<Option<Self>, Error> {
        if context.len() > MAX_KEYS {
            return Err(invalid(format_args!("it has more than {MAX_KEYS} keys")));
        }
        let value = |key: &str| context.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let of = |keys: [&'static str; 2]| {
            let found = keys.into_iter().find_map(|key| Some((key, value(key)?)));
            match found {
                Some((key, value)) if value.len() > MAX_VALUE || value.contains(char::is_control) => {
                    Err(invalid(format_args!(
                        "{key}: {:?} is too long or has control characters",
                        shortened(value)
                    )))
                }
                found => Ok(found.map(|(_, value)| value)),
            }
        };
        let Some(volume) = of(["gluster_volname", "gvolname"])? else { return Ok(None) };
        let servers = of(["gluster_hosts", "gserver"])?.unwrap_or_default();
        let path = of(["path", "path"])?.unwrap_or_default().trim_matches('/');
        check(volume, path).map_err(invalid)?;
        let words = servers.split([',', ' ']).filter(|word| !word.is_empty());
        let servers = words.map(str::parse).collect::<Result<_, _>>().map_err(invalid)?;
        let pool = of(["volume_uuid", "volume_uuid"])?.map(str::parse).transpose()?;
        let options = MountOptions::parse(of(["options", "options"])?).map_err(invalid)?;
        Ok(Some(Self { pool, servers, volume: volume.to_owned(), path: path.to_owned(), options }))
    }

    /// As it is given to the orchestrator.
    pub fn write(&self) -> BTreeMap<String, String> {
        let Self { pool, servers, volume, path, options } = self;
        let mut hosts = String::new();
        for server in servers.iter().map(ToString::to_string) {
            let comma = if hosts.is_empty() { "" } else { "," };
            if hosts.len() + server.len() < MAX_HOSTS {
                hosts.extend([comma, &server]);
            }
        }
        let pairs = [
            ("type", "External".to_owned()),
            ("gluster_volname", volume.clone()),
            ("gluster_hosts", hosts),
            ("path", path.clone()),
            ("volume_uuid", pool.as_ref().map(ToString::to_string).unwrap_or_default()),
            ("options", options.canonical()),
        ];
        let said = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        said.map(|(key, value)| (key.to_owned(), value)).collect()
    }
}

fn invalid(error: impl std::fmt::Display) -> Error {
    Error::new(Reason::Invalid, format_args!("volume_context: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::parse_servers;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_was_written_is_read() {
        let context = Context {
            pool: Some("0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9".parse().unwrap()),
            servers: parse_servers("g1,[::1]:24008").unwrap(),
            volume: "vol".to_owned(),
            path: "subvol/aa/bb/pvc-1".to_owned(),
            options: MountOptions::parse(["log_level=DEBUG,acl"]).unwrap(),
        };
        let written = context.write();
        assert_eq!(written["gluster_hosts"], "g1:24007,[::1]:24008");
        assert_eq!(written["path"], "subvol/aa/bb/pvc-1");
        assert_eq!(written["options"], "acl,log-level=DEBUG");
        assert_eq!(Context::read(&written).unwrap(), Some(context));
        let many: Vec<_> = (0..256).map(|n| format!("server-{n}.example.net")).collect();
        let servers = parse_servers(&many.join(",")).unwrap();
        let written = Context { servers: servers.clone(), ..context_of("vol") }.write();
        assert!(written["gluster_hosts"].len() <= MAX_HOSTS, "{written:?}");
        let read = Context::read(&written).unwrap().unwrap();
        assert!(read.servers.len() > 50 && servers.starts_with(&read.servers));
        let whole =
            Context::read(&map(&[("gluster_volname", "vol"), ("gluster_hosts", "g1")])).unwrap().unwrap();
        assert!(!whole.write().contains_key("path") && !whole.write().contains_key("options"));
    }

    fn context_of(volume: &str) -> Context {
        let pairs = map(&[("gluster_volname", volume)]);
        Context::read(&pairs).unwrap().unwrap()
    }

    #[test]
    fn those_of_kadalu() {
        let native = map(&[
            ("type", "External"),
            ("hostvol", "pool-1"),
            ("pvtype", "subvol"),
            ("gvolname", "vol"),
            ("gserver", "g1,g2"),
            ("fstype", "xfs"),
            ("options", ""),
            ("single_pv_per_pool", "False"),
            ("path", "subvol/d3/d3/pvc-1"),
            ("storage.kubernetes.io/csiProvisionerIdentity", "1700000000000-8081-kadalu"),
        ]);
        let read = Context::read(&native).unwrap().unwrap();
        assert_eq!((read.volume.as_str(), read.path.as_str()), ("vol", "subvol/d3/d3/pvc-1"));
        assert_eq!((read.servers, read.pool), (parse_servers("g1,g2").unwrap(), None));
        assert_eq!(Context::read(&map(&[("type", "External"), ("path", "a")])).unwrap(), None);
    }

    #[test]
    fn what_makes_no_sense_is_told_in_a_sentence() {
        let long = "x".repeat(10_000_000);
        for (key, value) in [
            ("path", "../etc"),
            ("path", "a/../../b"),
            ("path", &long),
            ("gluster_volname", "a/b"),
            ("gluster_volname", "a\0b"),
            ("gluster_hosts", "-x"),
            ("volume_uuid", "../../etc"),
            ("options", "nonsense"),
        ] {
            let mut context = map(&[("gluster_volname", "vol"), ("gluster_hosts", "g1")]);
            context.insert(key.to_owned(), value.to_owned());
            let error = Context::read(&context).expect_err(key);
            assert_eq!(error.reason(), Reason::Invalid);
            assert!(error.to_string().len() < 500, "{error}");
        }
    }
}
