//! A glusterd that serves volfiles which would harm a mount: they do not reach it.

use std::thread;

use serde_json::Value;
use tokio::sync::oneshot;

use crate::fakes::Glusterd;
use crate::lab::{Kind, eventually, require_fuse};
use crate::labs::Labs;
use crate::mounted::{Load, MountHost};

story! { needs require_fuse; poisoned }

/// A glusterd of our own on a unix socket that every host of a lab sees; it ends with this value.
struct Fake {
    glusterd: Glusterd,
    _end: oneshot::Sender<()>,
}

impl Fake {
    fn start(path: std::path::PathBuf, volfile: String) -> Self {
        let (send, receive) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel::<()>();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                send.send(Glusterd::start_at(&path, volfile)).expect("the test waits for it");
                // Dropped or used: either is the end.
                let _ = ended.await;
            });
        });
        Self { glusterd: receive.recv().expect("it starts"), _end: end }
    }

    fn serve(&self, volfile: &str) {
        self.glusterd.set(volfile.to_owned());
        self.glusterd.notify();
    }
}

fn poisoned(labs: &Labs) {
    let lab = labs.plain();
    let (name, client) = ("poison", lab.client());
    lab.start_volume(name, Kind::Replica3);
    let volfile = || String::from_utf8(lab.host(0).read_volfile(name)).expect("UTF-8");
    let fake = Fake::start(lab.shared().join("poison.sock"), volfile());
    let host = MountHost::start(client, name);
    let target = host.mount(&format!("unix:/mnt/shared/poison.sock:/{name}"), "all", &[]);
    host.wait_active(lab.host(0), name);
    let load = Load::start(client, &target, &[]);

    let good = volfile();
    let poisons = [
        (good.replacen("end-volume", "", 1), "end-volume"),
        (format!("{good}# `touch /mnt/shared/executed`\n"), "backtick"),
        (good.replace("subvolumes poison-client-0", "subvolumes nobody"), "nobody"),
        (good.replace("type protocol/client", "type protocol/nonsense"), "protocol/nonsense"),
    ];
    let before = host.pool(&target);
    for (poison, word) in &poisons {
        assert_ne!(*poison, good, "{word}");
        fake.serve(poison);
        let rejected = eventually(&format!("{word} is rejected"), || {
            let rejected = host.volume(name)["rejected"].clone();
            rejected["digest"]
                .as_str()
                .is_some_and(|said| said == crate::watcher::digest(poison.as_bytes()))
                .then_some(rejected)
        });
        let reasons = rejected["reasons"].to_string();
        assert!(reasons.to_lowercase().contains(word), "{word:?} is not in {reasons}");
        eprintln!("poison: {reasons}");
        let after = host.pool(&target);
        for field in ["process", "digest_active", "digest_wanted", "graphs", "state"] {
            let same = |pool: &Value| match field {
                "process" => pool[field]["pid"].clone(),
                _ => pool[field].clone(),
            };
            assert_eq!(same(&after), same(&before), "{word}: {field}");
        }
    }
    assert!(!lab.shared().join("executed").exists(), "what stood in backticks was run");
    // A good change, and all is well.
    lab.set(name, "performance.read-ahead", "on");
    fake.serve(&volfile());
    host.wait_active(lab.host(0), name);
    assert!(host.volume(name)["rejected"].is_null(), "{}", host.list());
    load.unharmed(name);
}
