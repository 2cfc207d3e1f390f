//! The options of a mount, as people write them, and the arguments of glusterfs that they come to.

mod known;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::{self, Write as _},
    net::Ipv6Addr,
};

use known::{Known, What};

pub(crate) use known::nearest_of;

use super::{Error, Reason, installed::Version, source::shortened};
use crate::{transport::ServerAddress, volfile::Address};

/// More than any mount has.
const MAX_OPTIONS: usize = 256;

/// The option of [`MountOptions::brick`].
const BRICK: &str = "brick";

/// Bytes of one option with its value.
const MAX_LENGTH: usize = 4096;

/// The options of a mount: what glusterfs gets, what is meant for the target, and what is of no use here.
///
/// Names are read in every spelling: `log-level`, `log_level`, `LOG-LEVEL`, `--log-level`. Values are checked, and kept
/// in one spelling, so that mounts with the same options can share one glusterfs process ([`MountOptions::canonical`]).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// By name; a flag has no value.
    values: BTreeMap<&'static str, Option<String>>,
    /// `NAME.KEY=VALUE` each, in the order in which they were given: glusterfs lets the last one win.
    xlator_options: Vec<String>,
    read_only: bool,
    servers: Vec<ServerAddress>,
    warnings: BTreeSet<String>,
    brick: Option<Address>,
}

impl MountOptions {
    /// Reads items of which each is `name`, `name=value` or a comma list of those; a comma between double quotes
    /// belongs to the value. Of an option given twice the last one counts, except `xlator-option`, which may be given
    /// often.
    pub fn parse<I, S>(items: I) -> Result<Self, Error>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<str>,
    {
        let mut options = Self::default();
        let mut count = 0;
        for item in items {
            for option in split(item.as_ref()) {
                count += 1;
                if count > MAX_OPTIONS {
                    return Err(invalid(format_args!("there are more than {MAX_OPTIONS} mount options")));
                }
                options.add(option)?;
            }
        }
        Ok(options)
    }

    fn add(&mut self, option: &str) -> Result<(), Error> {
        let shown = shortened(option);
        if option.len() > MAX_LENGTH {
            return Err(invalid(format_args!("mount option {shown:?} has more than {MAX_LENGTH} bytes")));
        }
        if option.contains(char::is_control) {
            return Err(invalid(format_args!("mount option {shown:?} has a control character")));
        }
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(unquoted(value.trim()))),
            None => (option, None),
        };
        let name = spelt(name);
        if name.starts_with("x-") {
            return Ok(());
        }
        let Some(known) = known::find(&name) else {
            let meant =
                known::nearest(&name).map(|name| format!(", do you mean {name:?}?")).unwrap_or_default();
            let name = shortened(&name);
            return Err(invalid(format_args!(
                "there is no mount option {name:?}{meant} (`kadalu mount --help` lists all)"
            )));
        };
        self.take(known, value)
    }

    fn take(&mut self, known: &'static Known, value: Option<&str>) -> Result<(), Error> {
        let name = known.name;
        let refuse = |allowed: &str| {
            let what = match value {
                Some(value) => format!("mount option {name}={}", shortened(value)),
                None => format!("mount option {name} without a value"),
            };
            invalid(format_args!("{what}: {allowed} is allowed"))
        };
        let on = || value.map_or(Some(true), value::switch).ok_or_else(|| refuse("on or off"));
        match known.what {
            What::Flag => self.set(name, on()?),
            What::Not(opposite) => self.set(opposite, !on()?),
            What::Kernel => self.set(name, on()?),
            What::NotKernel(opposite) => self.set(opposite, !on()?),
            What::ReadOnly(read_only) => self.read_only = on()? == read_only,
            What::Value(kind) => {
                let value = kind.check(value).map_err(|allowed| refuse(&allowed))?;
                // Bricks are reached as the volfile says.
                if !matches!(kind, value::Kind::Transport) {
                    self.values.insert(name, Some(value));
                }
            }
            What::Label => {
                let label = value.filter(|label| is_label(label));
                let label = label.ok_or_else(|| refuse("a label such as system_u:object_r:fusefs_t:s0"))?;
                self.values.insert(name, Some(label.to_owned()));
            }
            What::As(other) => {
                return match known::find(other) {
                    Some(other) => self.take(other, value),
                    None => Err(refuse("nothing")),
                };
            }
            What::Xlator(translators) => {
                let number =
                    value::Kind::Number(0, 99_999).check(value).map_err(|allowed| refuse(&allowed))?;
                self.xlator_options.push(format!("{translators}{name}={number}"));
            }
            What::XlatorOption => {
                let option = value.filter(|value| is_xlator_option(value));
                let option = option.ok_or_else(|| refuse("TRANSLATOR.KEY=VALUE"))?;
                self.xlator_options.push(option.to_owned());
            }
            What::Brick => {
                let brick = value
                    .and_then(brick)
                    .ok_or_else(|| refuse("HOST:/PATH, as `gluster volume info` has it,"))?;
                self.values.insert(name, Some(brick.to_string()));
                self.brick = Some(brick);
            }
            What::Servers => {
                let list = value.ok_or_else(|| refuse("a server, or more with ':' between them,"))?;
                for server in
                    servers(list).map_err(|why| invalid(format_args!("mount option {name}: {why}")))?
                {
                    if !self.servers.contains(&server) {
                        self.servers.push(server);
                    }
                }
            }
            What::Foreign => {}
            What::Ignored(why) => {
                self.warnings.insert(format!("mount option {name} is left out: {why}"));
            }
            What::Refused(why) => {
                return Err(invalid(format_args!("mount option {name} is not possible here: {why}")));
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &'static str, on: bool) {
        if on {
            self.values.insert(name, None);
        } else {
            self.values.remove(name);
        }
    }

    /// Nothing can be written through the target; the process that serves it may write for others.
    pub fn read_only(&self) -> bool {
        self.read_only || self.brick.is_some()
    }

    /// The one brick that is shown instead of the volume. What was written there would be missing on the others, so that
    /// nothing can be.
    pub fn brick(&self) -> Option<&Address> {
        self.brick.as_ref()
    }

    /// With one brick instead of the volume.
    pub fn of_brick(mut self, brick: Address) -> Self {
        self.values.insert(BRICK, Some(brick.to_string()));
        self.brick = Some(brick);
        self
    }

    /// Servers of the cluster that were named among the options, each once.
    pub fn servers(&self) -> &[ServerAddress] {
        &self.servers
    }

    /// Whether a mount takes an option of this name, in any spelling.
    pub fn takes(name: &str) -> bool {
        known::find(&spelt(name)).is_some_and(|known| !matches!(known.what, What::Refused(_)))
    }

    /// Options without effect here that somebody may rely on, a sentence each.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.warnings.iter().map(String::as_str)
    }

    /// What of a list has no effect on a mount, a sentence each: more than [`Self::warnings`], as where no mount(8) reads
    /// the list also what is meant for that does nothing.
    pub fn without_effect(list: &str) -> Vec<String> {
        let sentence = |option| {
            let name = spelt(str::split_once(option, '=').map_or(option, |(name, _)| name));
            let why = known::find(&name)?.idle()?;
            Some(format!("mount option {name} has no effect: {why}"))
        };
        split(list).filter_map(sentence).collect()
    }

    /// The arguments of the glusterfs of that version; an error where it lacks an option.
    pub fn arguments(&self, version: Version) -> Result<Vec<String>, Error> {
        let mut arguments = Vec::new();
        let mut kernel = String::new();
        for (&name, value) in &self.values {
            let Some(known) = known::find(name) else { continue };
            if version.major < known.since {
                return Err(invalid(format_args!(
                    "mount option {name} needs glusterfs {}; this machine has {version}",
                    known.since
                )));
            }
            let comma = if kernel.is_empty() { "" } else { "," };
            // Writing to a String does not fail.
            let _ = match (known.what, value) {
                // The volfile is narrowed.
                (What::Brick, _) => {
                    arguments.push("--read-only".to_owned());
                    Ok(())
                }
                (What::Label, Some(label)) => write!(kernel, "{comma}{name}=\"{label}\""),
                (What::Kernel, _) => write!(kernel, "{comma}{name}"),
                (_, Some(value)) => {
                    arguments.push(format!("--{name}={value}"));
                    Ok(())
                }
                (_, None) => {
                    arguments.push(format!("--{name}"));
                    Ok(())
                }
            };
        }
        if !kernel.is_empty() {
            arguments.push(format!("--fuse-mountopts={kernel}"));
        }
        arguments.extend(self.xlator_options.iter().map(|option| format!("--xlator-option={option}")));
        Ok(arguments)
    }

    /// As one list in one spelling, without what concerns the target or the servers only: mounts of a volume with the
    /// same list can share a glusterfs process. It parses to the same options again.
    pub fn canonical(&self) -> String {
        let of_xlators = self.xlator_options.iter().map(|option| ("xlator-option", Some(option)));
        let mut list = String::new();
        for (name, value) in self.values.iter().map(|(name, value)| (*name, value.as_ref())).chain(of_xlators)
        {
            if !list.is_empty() {
                list.push(',');
            }
            list.push_str(name);
            match value {
                Some(value) if value.contains(',') => list.extend(["=\"", value, "\""]),
                Some(value) => list.extend(["=", value]),
                None => {}
            }
        }
        list
    }
}

/// [`MountOptions::canonical`].
impl fmt::Display for MountOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

/// Every option that has an effect, a line each, with what it may be: for `--help`.
pub fn help() -> String {
    let lines = known::KNOWN.iter().filter_map(|Known { name, what, since }| {
        let allowed = match what {
            What::Flag => String::new(),
            What::Value(value::Kind::Transport) => return None,
            What::Value(kind) => kind.allowed(),
            What::Kernel => "of the kernel's mount".to_owned(),
            What::Label => "a label of SELinux".to_owned(),
            What::Xlator(_) => "a number".to_owned(),
            What::XlatorOption => "TRANSLATOR.KEY=VALUE, may be given often".to_owned(),
            What::ReadOnly(_) => "of the target".to_owned(),
            What::Brick => "HOST:/PATH: that brick alone, read-only".to_owned(),
            What::Servers => "more servers, ':' between them".to_owned(),
            _ => return None,
        };
        let since = if *since > 0 { format!(" (glusterfs {since} or later)") } else { String::new() };
        Some(format!("{name:<28} {allowed}{since}").trim_end().to_owned())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The name of an option in its one spelling.
fn spelt(name: &str) -> String {
    name.trim().trim_start_matches(['-', '_']).to_ascii_lowercase().replace('_', "-")
}

/// At commas outside of double quotes, without what is empty.
fn split(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = list.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty())
}

/// Without the double quotes around it that keep its commas together.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

/// What SELinux writes: user, role, type, level and categories.
fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:.,-".contains(&byte))
}

/// glusterfs wants a `.` before the first `=`, and something around both.
fn is_xlator_option(option: &str) -> bool {
    option.split_once('=').and_then(|(key, value)| Some((key.split_once('.')?, value))).is_some_and(
        |((translator, key), value)| {
            !translator.is_empty() && !key.is_empty() && !value.is_empty() && !option.contains('"')
        },
    )
}

/// `HOST:/PATH`, as glusterd writes it.
fn brick(value: &str) -> Option<Address> {
    let (host, path) = value.split_at(value.find(":/")?);
    let path = &path[1..];
    let is_host = !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-[]".contains(&byte));
    (is_host && !path.contains('"')).then(|| Address { host: host.to_owned(), path: path.to_owned() })
}

/// `g2:g3`, as mount(8) wants them, also with ports: `g2:24008:[::1]:24008`.
fn servers(list: &str) -> Result<Vec<ServerAddress>, String> {
    if list.parse::<Ipv6Addr>().is_ok() || list.starts_with("unix:") {
        return Ok(vec![list.parse().map_err(|error| format!("{error}"))?]);
    }
    let mut bracket = false;
    let words = list.split(move |letter| {
        bracket = (bracket || letter == '[') && letter != ']';
        letter == ':' && !bracket
    });
    let mut hosts: Vec<String> = Vec::new();
    for word in words {
        match hosts.last_mut() {
            Some(host) if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) => {
                host.extend([":", word]);
            }
            _ => hosts.push(word.to_owned()),
        }
    }
    hosts.iter().map(|host| host.parse().map_err(|error| format!("{error}"))).collect()
}

fn invalid(message: impl fmt::Display) -> Error {
    Error::new(Reason::Invalid, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEN: Version = Version { major: 10, minor: 3 };

    fn parse(list: &str) -> MountOptions {
        MountOptions::parse([list]).unwrap()
    }

    fn refused(list: &str) -> String {
        let error = MountOptions::parse([list]).unwrap_err();
        assert_eq!(error.reason(), Reason::Invalid);
        error.to_string()
    }

    #[test]
    fn every_spelling_is_the_same_option() {
        for spelling in [
            "log-level=DEBUG",
            "log_level=debug",
            "LOG_LEVEL=Debug",
            "--log-level=DEBUG",
            " log-level = DEBUG ",
        ] {
            assert_eq!(parse(spelling).arguments(TEN).unwrap(), ["--log-level=DEBUG"], "{spelling}");
        }
        let list = parse("acl,log-level=DEBUG,,attribute_timeout=0600");
        let items = MountOptions::parse(["--attribute-timeout=600", "log_level=debug,acl=yes"]).unwrap();
        assert_eq!(list, items);
        assert_eq!(list.canonical(), "acl,attribute-timeout=600,log-level=DEBUG");
    }

    #[test]
    fn the_last_one_counts_and_translators_keep_all() {
        let options = parse("log-level=DEBUG,log-level=INFO,acl,acl=off,noatime,atime,nodev,ro,rw");
        assert_eq!((&*options.canonical(), options.read_only()), ("log-level=INFO,nodev", false));
        let options = parse(
            "xlator-option=*.ping-timeout=1,xlator-option=a-client-0.ping-timeout=2,halo-max-latency=5",
        );
        assert_eq!(
            options.arguments(TEN).unwrap(),
            [
                "--xlator-option=*.ping-timeout=1",
                "--xlator-option=a-client-0.ping-timeout=2",
                "--xlator-option=*replicate*.halo-max-latency=5"
            ]
        );
    }

    #[test]
    fn what_has_no_effect_on_a_mount_is_told_with_the_reason() {
        let list = "acl,_netdev,log_file=\"/a,b\",--LAZYATIME,transport=tcp,rw,x-systemd.automount,volfile-server=g2";
        let told: Vec<_> = MountOptions::without_effect(list);
        let begins = ["netdev", "log-file", "lazyatime", "transport"]
            .map(|name| format!("mount option {name} has no effect: "));
        assert_eq!(told.len(), begins.len(), "{told:?}");
        assert!(told.iter().zip(&begins).all(|(told, begin)| told.starts_with(begin)), "{told:?}");
        assert_eq!(parse(list).canonical(), "acl");
    }

    #[test]
    fn a_target_and_the_servers_make_no_other_process() {
        let options = parse(
            "ro,_netdev,defaults,x-systemd.automount,backup-volfile-servers=g2:g3:24008:[::1]:24009,acl",
        );
        assert!(options.read_only());
        assert_eq!(options.canonical(), parse("acl").canonical());
        let servers: Vec<_> = options.servers().iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["g2:24007", "g3:24008", "[::1]:24009"]);
        assert_eq!(options.warnings().count(), 0);
        assert_eq!(parse("backupvolfile-server=fe80::1").servers()[0].to_string(), "[fe80::1]:24007");
    }

    #[test]
    fn a_brick_is_a_process_of_its_own_and_read_only() {
        for list in ["brick=g2:/bricks/b", "rw,Brick=g2:/bricks/b,rw", "brick=g1:/a,brick=\"g2:/bricks/b\""] {
            let options = parse(list);
            assert_eq!(options.canonical(), "brick=g2:/bricks/b");
            assert_eq!(options.arguments(TEN).unwrap(), ["--read-only"]);
            assert!(options.read_only() && options.brick().unwrap().to_string() == "g2:/bricks/b");
            assert_eq!(
                parse("acl").of_brick(options.brick().unwrap().clone()),
                parse("acl,brick=g2:/bricks/b")
            );
        }
        let odd = parse("brick=\"2001:db8::1:/bricks/a,b\"");
        assert_eq!(odd.brick().unwrap().host, "2001:db8::1");
        assert_eq!(parse(&odd.canonical()), odd);
        for bad in ["brick", "brick=g1", "brick=/b", "brick=g1:b", "brick=g 1:/b", "brick=:/b"] {
            assert!(
                refused(bad).contains("HOST:/PATH, as `gluster volume info` has it, is allowed"),
                "{bad}"
            );
        }
    }

    #[test]
    fn words_for_the_kernel_go_together() {
        let options = parse("noatime,nodev,context=\"system_u:object_r:fusefs_t:s0:c1,c2\",use-readdirp=no");
        assert_eq!(
            options.arguments(TEN).unwrap(),
            [
                "--use-readdirp=off",
                "--fuse-mountopts=context=\"system_u:object_r:fusefs_t:s0:c1,c2\",noatime,nodev"
            ]
        );
        assert_eq!(parse(&options.canonical()), options);
    }

    #[test]
    fn root_squash_is_the_opposite_of_no_root_squash() {
        assert_eq!(parse("root-squash=no").canonical(), "no-root-squash");
        assert_eq!(parse("no-root-squash,root-squash=on").canonical(), "");
    }

    #[test]
    fn what_has_no_effect_is_said() {
        let options = parse("log-file=/tmp/l,relatime,fetch-attempts=3,transport=tcp");
        assert_eq!((options.warnings().count(), &*options.canonical()), (3, ""));
        assert!(
            options.warnings().any(|warning| warning.contains("log-file is left out: the mount host keeps"))
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_what_is_right() {
        for (option, expected) in [
            ("log-levle=DEBUG", "no mount option \"log-levle\", do you mean \"log-level\"?"),
            ("frobnicate", "no mount option \"frobnicate\" (`kadalu mount --help`"),
            ("log-level=LOUD", "log-level=LOUD: one of TRACE, DEBUG"),
            ("attribute-timeout", "attribute-timeout without a value: seconds"),
            ("attribute-timeout=soon", "attribute-timeout=soon: seconds from 0"),
            ("acl=perhaps", "on or off is allowed"),
            ("xlator-option=a=b", "TRANSLATOR.KEY=VALUE is allowed"),
            ("subdir-mount=/a", "SERVERS:/VOLUME/DIRECTORY"),
            ("dump-fuse=/etc/x", "is not possible here"),
            ("transport=rdma", "tcp is allowed"),
            ("server-port=24008", "g1:24008"),
            ("context=a\"b", "a label such as"),
            ("acl\0", "control character"),
            ("backup-volfile-servers=g2:g!", "not a host name"),
        ] {
            assert!(refused(option).contains(expected), "{option}: {}", refused(option));
        }
        assert!(refused(&format!("x{}", "y".repeat(5000))).len() < 200);
        assert!(refused(&"acl,".repeat(300)).contains("more than 256"));
    }

    #[test]
    fn an_older_glusterfs_is_not_given_what_it_lacks() {
        let options = parse("io-engine=legacy,inode-table-size=65536");
        let of = |major| options.arguments(Version { major, minor: 1 });
        assert!(
            of(9)
                .unwrap_err()
                .to_string()
                .contains("inode-table-size needs glusterfs 11; this machine has 9.1")
        );
        assert!(of(10).is_err());
        assert_eq!(of(11).unwrap(), ["--inode-table-size=65536", "--io-engine=legacy"]);
    }

    #[test]
    fn help_names_what_can_be_given() {
        let help = help();
        assert!(help.contains("log-level                    one of TRACE"));
        assert!(!help.contains("log-file") && help.lines().count() > 40);
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_canonical_stays(items in prop::collection::vec("[a-z_=,\"-]{0,12}|acl|gid_timeout=[0-9]{1,3}|xlator-option=\\*\\.[a-z,]{1,9}=[a-z,=]{1,9}|\\PC{0,20}", 0..8)) {
            if let Ok(options) = MountOptions::parse(&items) {
                let canonical = options.canonical();
                let again = MountOptions::parse([&canonical]).unwrap();
                prop_assert_eq!(again.canonical(), canonical);
                prop_assert_eq!(again.arguments(TEN).unwrap(), options.arguments(TEN).unwrap());
            }
        }
    }
}
