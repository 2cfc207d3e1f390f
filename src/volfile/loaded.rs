//! A volfile as a running glusterfs shows it, back to what it was given.

use super::text::Volfile;

/// What a running glusterfs adds to the options of its `protocol/client`s (seen in `.meta` of 10.3).
const RUN_TIME: [&str; 9] = [
    "client-version",
    "clnt-lk-version",
    "fops-version",
    "opversion",
    "process-name",
    "process-uuid",
    "volfile-checksum",
    "volfile-key",
    "volume-id",
];

impl Volfile<'_> {
    /// A volfile out of `.meta/graphs/*/volfile` as it was before glusterfs loaded it: without its `meta` translator on top
    /// and what it noted in the options (facts §11.4).
    pub fn without_run_time(&self) -> Volfile<'static> {
        let mut plain = Volfile::new();
        for section in self.sections().filter(|section| section.xlator_type() != "meta") {
            let client = section.xlator_type() == "protocol/client";
            let mut volume = plain.volume(section.name(), section.xlator_type());
            for option in section.options() {
                let (key, value) = (&*option.key, &*option.value);
                volume = match client {
                    true if RUN_TIME.iter().any(|name| key == *name) => volume,
                    // The name of the library that was loaded for tcp.
                    true if key == "transport-type" && value == "socket" => volume.option(key, "tcp"),
                    _ => volume.option(key, value),
                };
            }
            volume.subvolumes(section.subvolumes());
        }
        plain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_glusterfs_notes_is_left_out() {
        let active = "volume a-client-0\n type protocol/client\n option remote-host g1\n option transport-type socket\n \
            option process-uuid x\nend-volume\nvolume a\n type debug/io-stats\n option volume-id 1\n subvolumes a-client-0\n\
            end-volume\nvolume meta-autoload\n type meta\n subvolumes a\nend-volume\n";
        let given = "volume a-client-0\n    type protocol/client\n    option remote-host g1\n    option transport-type tcp\n\
            end-volume\n\nvolume a\n    type debug/io-stats\n    option volume-id 1\n    subvolumes a-client-0\nend-volume\n";
        let plain = Volfile::parse(active).unwrap().without_run_time();
        assert_eq!(String::from_utf8(plain.render().unwrap()).unwrap(), given);
    }
}
