//! Mount namespaces with private propagation, as containers have them, and what is replaced in them.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use glusterd_client::mount::{
    helper::{Earlier, Failed, Helper, Placed, Rebind, Rebound, open_mount},
    mountinfo::{MountEntry, MountTable},
};
use rustix::process::{Pid, Signal};

use crate::volume::{SOON, Volume, block_on, directory, eventually, helper, make};

pub(crate) const TESTS: &[(&str, fn())] = &[
    ("a_container_goes_on_with_what_it_had", as_it_was),
    ("a_planned_replacement_is_not_noticed_in_a_container", planned),
    ("a_mount_is_replaced_where_the_kernel_knows_no_beneath", before_6_5),
    ("propagation_in_a_container_stays_what_it_was", propagation),
    ("mounts_below_dead_ones_come_back_with_them", nested),
    ("stacked_mounts_in_a_container_become_one", stacked),
    ("mounts_of_others_in_a_container_are_not_touched", others),
    ("a_mount_of_the_host_itself_is_taken_away_in_a_container", useless),
    ("what_was_no_target_is_left_alone", no_target),
    ("a_file_system_that_is_held_keeps_its_number", held),
    ("a_mount_that_answers_is_not_dead", alive),
    ("locked_mounts_are_covered_once", locked),
    ("what_is_not_in_the_volume_any_more_is_said", removed),
    ("a_process_with_another_root_is_no_hindrance", chrooted),
    ("a_container_with_a_root_of_its_own_goes_on", pivoted),
    ("a_namespace_that_is_gone_is_no_error", gone),
    ("what_hangs_in_a_container_holds_nobody", hanging),
];

/// A process in a mount namespace of its own, which end with this value.
struct Container(Child);

impl Container {
    /// Runs `script` in the namespace first.
    fn new(script: &str) -> Self {
        Self::with(&["--propagation", "private"], script)
    }

    fn with(flags: &[&str], script: &str) -> Self {
        let script = format!("set -e; {script}\necho ready; exec cat");
        let mut command = Command::new("unshare");
        command.arg("--mount").args(flags).args(["sh", "-c", &script]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "{script}");
        Self(child)
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// What a script says that is run in it; none where that fails.
    fn run(&self, script: &str) -> Option<String> {
        let pid = self.pid().to_string();
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid, "--mount", "timeout", "10", "sh", "-c", script]);
        let output = command.stderr(Stdio::null()).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    }

    fn table(&self) -> MountTable {
        MountTable::parse(&fs::read(format!("/proc/{}/mountinfo", self.pid())).unwrap())
    }

    fn at(&self, path: &Path) -> Vec<MountEntry> {
        self.table().at(path).into_iter().cloned().collect()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn earlier(volume: &Volume) -> Earlier {
    let table = MountTable::read().unwrap();
    let entry = table.top_at(&volume.mount).unwrap();
    let place = PathBuf::from("pool/1");
    Earlier { device: entry.device, source: entry.source.clone(), place, ended: true }
}

fn request(container: &Container, earlier: &[Earlier], new: &Volume) -> Rebind {
    let pid = container.pid();
    Rebind {
        pid,
        namespace: fs::metadata(format!("/proc/{pid}/ns/mnt")).unwrap().ino(),
        mount: new.mount.clone(),
        earlier: earlier.to_vec(),
        roots: vec!["/".into()],
        except: Vec::new(),
        staging: new.mount.with_file_name("staging"),
    }
}

/// What became of the mounts, in the order of their paths.
fn rebind(rebind: &Rebind) -> Vec<Rebound> {
    let (mut rebound, result) = block_on(helper().rebind(rebind, SOON));
    result.unwrap();
    rebound.sort_by(|one, other| one.mount_point.cmp(&other.mount_point));
    rebound
}

fn all(rebound: &[Rebound], placed: Placed) -> bool {
    !rebound.is_empty() && rebound.iter().all(|one| one.result == Ok(placed))
}

#[track_caller]
fn left(rebound: &[Rebound], reason: &str) {
    let [Rebound { result: Err(said), .. }] = rebound else { panic!("{rebound:?}") };
    assert!(said.contains(reason), "{said}");
}

fn shell(script: &str) {
    assert!(Command::new("sh").args(["-euc", script]).status().unwrap().success(), "{script}");
}

fn as_it_was() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    let home = directory();
    let (old_mount, place) = (old.mount.display(), home.display());
    let container = Container::new(&format!(
        "cd {place}; mkdir whole 'deep one' sealed times; touch file
         mount --bind {old_mount} whole; mount --bind {old_mount}/a/b 'deep one'; mount --bind {old_mount}/a/name file
         mount --bind {old_mount}/a sealed; mount -o remount,bind,ro,nosuid,nodev,noexec sealed
         mount --bind {old_mount} times; mount -o remount,bind,noatime,nodiratime times"
    ));
    let before: Vec<_> = container.table().of_device(old.device()).cloned().collect();
    let earlier = [earlier(&old)];
    old.process.kill();
    assert_eq!(container.run(&format!("cat {place}/whole/name")), None);
    let rebound = rebind(&request(&container, &earlier, &new));
    assert!(all(&rebound, Placed::Instead) && rebound.len() == 5 + 1, "{rebound:?}");

    // The FUSE mount itself is a copy there too, as the namespace was copied with it.
    assert!(rebound.iter().any(|one| Path::new(&one.mount_point) == old.mount));
    let table = container.table();
    assert_eq!(table.of_device(old.device()).count(), 0);
    for old in before {
        let [now] = &container.at(&old.mount_point)[..] else { panic!("{old:?}") };
        assert_eq!((now.device, &now.root, &now.options), (new.device(), &old.root, &old.options));
    }
    let script = format!(
        "cd {place}; cat whole/name 'deep one/name' file sealed/name; echo 1 >whole/written; echo 2 >file; \
         ! touch sealed/written"
    );
    assert_eq!(container.run(&script).as_deref(), Some("newnewnewnew"));
    assert_eq!(fs::read_to_string(new.mount.join("written")).unwrap(), "1\n");
    assert_eq!(fs::read_to_string(new.mount.join("a/name")).unwrap(), "2\n");
    assert_eq!(rebind(&request(&container, &earlier, &new)), [], "nothing is left to do");
    assert_eq!(fs::read_dir(new.mount.with_file_name("staging")).unwrap().count(), 0);
    assert_eq!(old.mount.metadata().unwrap_err().raw_os_error(), Some(107), "outside nothing has changed");
}

fn planned() {
    let volumes = [Volume::local("one"), Volume::local("two")];
    let both = volumes.iter().map(|volume| Earlier { ended: false, ..earlier(volume) }).collect::<Vec<_>>();
    let target = make(directory().join("target"));
    let container =
        Container::new(&format!("mount --bind {}/a {}", volumes[0].mount.display(), target.display()));
    let script = format!("while :; do cat {}/name || echo failed; echo; done", target.display());
    let mut reader = Command::new("nsenter")
        .args(["--target", &container.pid().to_string(), "--mount", "sh", "-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(reader.stdout.take().unwrap()).lines().map(Result::unwrap);
    for turn in 1..=20 {
        let request = request(&container, &both[(turn + 1) % 2..][..1], &volumes[turn % 2]);
        // The FUSE mount's own copy goes along the first time.
        let rebound = rebind(&request);
        assert!(all(&rebound, Placed::Instead), "{turn}: {rebound:?}");
        let name = ["one", "two"][turn % 2];
        let seen = lines.by_ref().take_while(|line| line != name).collect::<Vec<_>>();
        assert!(seen.iter().all(|line| matches!(line.as_str(), "" | "one" | "two")), "{turn}: {seen:?}");
        assert_eq!(container.at(&target).len(), 1);
    }
    reader.kill().unwrap();
    reader.wait().unwrap();
}

/// Runs a program as on Linux before 6.5: a filter lets move_mount(2) refuse `MOVE_MOUNT_BENEATH`.
const BEFORE_6_5: &str = r#"
import ctypes, os, struct, sys
def op(code, yes, no, k): return struct.pack("HBBI", code, yes, no, k)
# The number of the call, and the lower half of its fifth argument.
filter = b"".join([op(0x20, 0, 0, 0), op(0x15, 0, 3, 429), op(0x20, 0, 0, 48), op(0x45, 0, 1, 0x200),
                   op(0x06, 0, 0, 0x50000 | 22), op(0x06, 0, 0, 0x7fff0000)])
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(22, 2, ctypes.byref(Program(len(filter) // 8, filter)), 0, 0) == 0, ctypes.get_errno()
os.execv(sys.argv[1], sys.argv[1:])
"#;

fn before_6_5() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    let home = directory();
    let (from, place) = (old.mount.display(), home.display());
    let container = Container::new(&format!(
        "cd {place}; mkdir 'a whole'; touch file; mount --bind {from} 'a whole'; mount --bind {from}/a/b 'a whole/a/b'
         mount --bind {from}/a/name file; umount {from}"
    ));
    let earlier = [earlier(&old)];
    old.process.kill();
    let exe = std::env::current_exe().unwrap().into();
    let arguments = vec!["-c".into(), BEFORE_6_5.into(), exe, "mount-helper".into()];
    let old_kernel = Helper { program: "python3".into(), arguments };
    let request = request(&container, &earlier, &new);
    let (rebound, result) = block_on(old_kernel.rebind(&request, SOON));
    assert_eq!(result, Ok(()));
    assert!(all(&rebound, Placed::Instead) && rebound.len() == 2, "{rebound:?}");
    let script = format!("cd {place}; cat 'a whole/name' 'a whole/a/b/name' file");
    assert_eq!(container.run(&script).as_deref(), Some("newnewnew"));
    assert_eq!(container.table().of_device(old.device()).count(), 0);
}

fn propagation() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    // As on most machines: all is shared.
    shell(&format!(
        "mount --make-shared {}; mount --make-shared {}",
        old.mount.display(),
        new.mount.display()
    ));
    let home = directory();
    let script = format!(
        "cd {}; for kind in private slave shared; do mkdir $kind; mount --bind {} $kind; mount --make-private $kind; done
         mount --bind {} slave; mount --make-slave slave; mount --make-shared shared",
        home.display(),
        old.mount.display(),
        old.mount.display()
    );
    // Shared with the mount outside, so that a slave of it has a master.
    let container =
        Container::with(&["--propagation", "unchanged"], &format!("mount --make-private /mnt; {script}"));
    let kinds = || {
        ["private", "slave", "shared"].map(|kind| {
            let stack = container.at(&home.join(kind));
            stack.last().map(|top| (top.shared, top.slave)).unwrap()
        })
    };
    let before = kinds();
    assert_eq!(before, [(false, false), (false, true), (true, false)]);
    let earlier = [earlier(&old)];
    old.process.kill();
    let request = Rebind { except: vec![old.mount.clone()], ..request(&container, &earlier, &new) };
    let rebound = rebind(&request);
    assert!(all(&rebound, Placed::Instead) && rebound.len() == 3, "{rebound:?}");
    assert_eq!(kinds(), before);
    // What is mounted in a container's private one is seen nowhere else.
    container.run(&format!("mount -t tmpfs inside {}/private/a", home.display())).unwrap();
    assert_eq!(
        MountTable::read().unwrap().entries().iter().filter(|entry| entry.source == "inside").count(),
        0
    );
    container.run(&format!("umount {}/private/a", home.display())).unwrap();
    shell(&format!(
        "mount --make-private {}; mount --make-private {}",
        old.mount.display(),
        new.mount.display()
    ));
}

fn nested() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    let target = make(directory().join("target"));
    let (from, to) = (old.mount.display(), target.display());
    // The root below, two in it, and one in one of those.
    let container = Container::new(&format!(
        "mount --bind {from} {to}; mount --bind {from}/a {to}/a; mount --bind {from}/a/b {to}/a/b
         mount -o remount,bind,ro {to}/a/b; umount {from}"
    ));
    let earlier = [earlier(&old)];
    old.process.kill();
    let rebound = rebind(&request(&container, &earlier, &new));
    assert!(all(&rebound, Placed::Instead) && rebound.len() == 1, "they go together: {rebound:?}");
    let roots = |path: &Path| {
        let stack = container.at(path);
        stack.iter().map(|entry| (entry.device, entry.root.clone(), entry.read_only)).collect::<Vec<_>>()
    };
    for (path, root, read_only) in [("", "/", false), ("a", "/a", false), ("a/b", "/a/b", true)] {
        let path = if path.is_empty() { target.clone() } else { target.join(path) };
        assert_eq!(roots(&path), [(new.device(), PathBuf::from(root), read_only)]);
    }
    assert_eq!(container.run(&format!("cat {to}/a/b/name; echo 1 >{to}/a/x")).as_deref(), Some("new"));
}

fn stacked() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    let target = make(directory().join("target"));
    let (from, to) = (old.mount.display(), target.display());
    let container = Container::new(&format!(
        "mount --bind {from} {to}; mount --bind {from}/a {to}; mount -o remount,bind,ro {to}; umount {from}"
    ));
    let earlier = [earlier(&old)];
    old.process.kill();
    assert_eq!(container.at(&target).len(), 2);
    let rebound = rebind(&request(&container, &earlier, &new));
    assert!(all(&rebound, Placed::Instead) && rebound.len() == 1, "{rebound:?}");
    let [now] = &container.at(&target)[..] else { panic!("{:?}", container.at(&target)) };
    assert_eq!((now.root.as_path(), now.read_only), (Path::new("/a"), true), "what was seen");
}

fn others() {
    let (mut old, new, mut other) = (Volume::local("old"), Volume::local("new"), Volume::local("other"));
    let home = directory();
    let (from, place) = (old.mount.display(), home.display());
    let container = Container::new(&format!(
        "cd {place}; mkdir over below other except
         mount --bind {from} over; mount -t tmpfs theirs over
         mount --bind {from} below; mount -t tmpfs theirs below/a
         mount --bind {} other; mount --bind {from} except; umount {from}",
        other.mount.display()
    ));
    let earlier = [earlier(&old)];
    old.process.kill();
    other.process.kill();
    let before = container.table().entries().to_vec();
    let request = Rebind { except: vec![home.join("except")], ..request(&container, &earlier, &new) };
    let rebound = rebind(&request);
    let said = rebound.iter().map(|one| one.result.clone().unwrap_err()).collect::<Vec<_>>();
    assert_eq!(said.len(), 2, "{rebound:?}");
    assert_eq!(said[0], format!("{place}/below/a (tmpfs) is mounted below it and would go with it"));
    assert_eq!(said[1], "theirs (tmpfs) is mounted over it");
    assert_eq!(container.table().entries(), before);
    // Another file system that has the number.
    let wrong = Earlier { source: "another".into(), ..earlier[0].clone() };
    assert_eq!(rebind(&Rebind { earlier: vec![wrong], ..request.clone() }), []);
    // Once theirs are gone, ours are replaced.
    container.run(&format!("umount {place}/over")).unwrap();
    let rebound = rebind(&request);
    assert_eq!(rebound.iter().filter(|one| one.result == Ok(Placed::Instead)).count(), 1, "{rebound:?}");
}

/// A namespace that was copied with all its mounts has that of the host itself too, of which it needs only the binds.
fn useless() {
    let (old, new) = (Volume::local("old"), Volume::local("new"));
    let target = make(directory().join("target"));
    let container = Container::new(&format!("mount --bind {} {}", old.mount.display(), target.display()));
    let place = old.mount.strip_prefix("/mnt").unwrap().to_owned();
    let earlier = Earlier { place, ended: false, ..earlier(&old) };
    let rebound = rebind(&request(&container, &[earlier], &new));
    assert!(all(&rebound, Placed::Instead) && rebound.len() == 1, "{rebound:?}");
    assert_eq!((container.at(&old.mount), container.at(&target).len()), (vec![], 1));
    // The process goes when nobody has it mounted, here or there.
    block_on(helper().unmount(&old.mount, true, SOON)).unwrap();
    eventually("it has ended", || old.process.has_ended());
}

fn no_target() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    let home = directory();
    let (from, place) = (old.mount.display(), home.display());
    let container = Container::new(&format!(
        "cd {place}; mkdir whole a b; mount --bind {from} whole; mount --bind {from}/a a; mount --bind {from}/a/b b
         umount {from}"
    ));
    let earlier = [earlier(&old)];
    old.process.kill();
    let request = request(&container, &earlier, &new);
    assert_eq!(rebind(&Rebind { roots: vec!["/a/bc".into()], ..request.clone() }), []);
    let rebound = rebind(&Rebind { roots: vec!["/a".into(), "/x".into()], ..request });
    assert!(all(&rebound, Placed::Instead) && rebound.len() == 2, "a target, and what is in it: {rebound:?}");
    assert_eq!(container.at(&home.join("whole"))[0].device, old.device());
}

fn held() {
    let mut old = Volume::local("old");
    let device = old.device();
    assert!(open_mount(&old.mount, (device.0, device.1 + 1)).is_err(), "another file system");
    old.process.kill();
    let held = open_mount(&old.mount, device).unwrap();
    block_on(helper().unmount(&old.mount, true, SOON)).unwrap();
    assert!(open_mount(&old.mount, device).is_err(), "nothing is mounted there");
    let others: Vec<_> = (0..3).map(|_| Volume::local("other")).collect();
    assert!(others.iter().all(|other| other.device() != device));
    drop(held);
    assert_eq!(Volume::local("next").device(), device, "the kernel gives the lowest that is free");
}

fn alive() {
    let (old, new) = (Volume::local("old"), Volume::local("new"));
    let target = make(directory().join("target"));
    let (from, to) = (old.mount.display(), target.display());
    let container = Container::new(&format!("mount --bind {from} {to}; umount {from}"));
    left(&rebind(&request(&container, &[earlier(&old)], &new)), "it answers");
    assert_eq!(container.run(&format!("cat {to}/name")).as_deref(), Some("old"));
}

fn locked() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    let target = make(directory().join("target"));
    let (from, to) = (old.mount.display(), target.display());
    let outer = Container::new(&format!("mount --bind {from}/a {to}; umount {from}"));
    // What it has of a namespace with more rights it can neither move nor take away.
    let pid = outer.pid().to_string();
    let inner = Command::new("nsenter")
        .args([
            "--target",
            &pid,
            "--mount",
            "unshare",
            "--user",
            "--map-root-user",
            "--mount",
            "sleep",
            "1000",
        ])
        .spawn()
        .unwrap();
    let container = Container(inner);
    eventually("it has a namespace of its own", || {
        let of = |pid: &dyn std::fmt::Display| fs::read_link(format!("/proc/{pid}/ns/mnt")).ok();
        of(&container.pid()) != of(&pid)
            && of(&container.pid()) != of(&"self")
            && fs::read_to_string(format!("/proc/{}/comm", container.pid()))
                .is_ok_and(|name| name == "sleep\n")
    });
    let earlier = [earlier(&old)];
    old.process.kill();
    let rebound = rebind(&request(&container, &earlier, &new));
    assert!(all(&rebound, Placed::Over) && rebound.len() == 1, "{rebound:?}");
    assert_eq!(container.run(&format!("cat {to}/name")).as_deref(), Some("new"));
    assert_eq!(container.at(&target).len(), 2);
    assert_eq!(rebind(&request(&container, &earlier, &new)), [], "once");

    // The next one takes the place of the one that covers it.
    let third = Volume::local("third");
    let both = [earlier.to_vec(), vec![self::earlier(&new)]].concat();
    let mut new = new;
    new.process.kill();
    let request = Rebind { except: vec![new.mount.clone()], ..request(&container, &both, &third) };
    let rebound = rebind(&request);
    assert!(all(&rebound, Placed::Over) && rebound.len() == 1, "{rebound:?}");
    assert_eq!(container.run(&format!("cat {to}/name")).as_deref(), Some("third"));
    assert_eq!(container.at(&target).len(), 2, "{:?}", container.at(&target));
}

fn removed() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    let home = directory();
    let (from, place) = (old.mount.display(), home.display());
    let container = Container::new(&format!(
        "cd {place}; mkdir gone swapped; mkdir {from}/gone {from}/swapped
         mount --bind {from}/gone gone; mount --bind {from}/swapped swapped; rmdir {from}/gone; umount {from}"
    ));
    // What would be found by its path, were the kernel's remark taken for a part of it.
    fs::create_dir_all(new.mount.join("gone/deleted")).unwrap();
    std::os::unix::fs::symlink("/etc", new.mount.with_file_name("brick").join("swapped")).unwrap();
    let earlier = [earlier(&old)];
    old.process.kill();
    let rebound = rebind(&request(&container, &earlier, &new));
    let said = rebound.iter().map(|one| one.result.clone().unwrap_err()).collect::<Vec<_>>();
    assert_eq!(said.len(), 2, "{rebound:?}");
    assert!(said[0].contains("was removed") || said[0].contains("/gone"), "{said:?}");
    assert!(said[1].contains("/swapped of the volume") && said[1].contains("symbolic links"), "{said:?}");
}

fn chrooted() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    let home = directory();
    let (from, place) = (old.mount.display(), home.display());
    let container = Container::new(&format!(
        "mkdir {place}/data {place}/usr; mount --bind / {place}; mkdir -p {place}/mnt; mount -t tmpfs inner {place}/mnt
         mkdir {place}/mnt/data; mount --bind {from} {place}/mnt/data; umount {from}
         exec chroot {place} sh -c 'echo ready; exec cat'"
    ));
    let earlier = [earlier(&old)];
    old.process.kill();
    let rebound = rebind(&request(&container, &earlier, &new));
    assert!(all(&rebound, Placed::Instead) && rebound[0].mount_point == "/mnt/data", "{rebound:?}");
    let name = fs::read_to_string(format!("/proc/{}/root/mnt/data/name", container.pid()));
    assert_eq!(name.unwrap(), "new");
}

/// As container runtimes do it: the root is another one, and the old one is gone.
fn pivoted() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    let home = directory();
    let (from, place) = (old.mount.display(), home.display());
    let container = Container::new(&format!(
        "mount --bind / {place}; mount -t proc proc {place}/proc; mount -t tmpfs inner {place}/mnt
         mkdir {place}/mnt/data {place}/mnt/old; mount --bind {from}/a {place}/mnt/data
         cd {place}; pivot_root . mnt/old; umount -l /mnt/old; cd /"
    ));
    let earlier = [earlier(&old)];
    old.process.kill();
    let rebound = rebind(&request(&container, &earlier, &new));
    assert!(all(&rebound, Placed::Instead) && rebound.len() == 1, "{rebound:?}");
    assert_eq!(container.run("cat /mnt/data/name").as_deref(), Some("new"));
    assert_eq!(container.at(Path::new("/mnt/data")).len(), 1);
}

fn gone() {
    let (mut old, new) = (Volume::local("old"), Volume::local("new"));
    let target = make(directory().join("target"));
    let script = format!("mount --bind {} {}", old.mount.display(), target.display());
    let (one, two) = (Container::new(&script), Container::new(&script));
    let earlier = [earlier(&old)];
    old.process.kill();
    let request = request(&one, &earlier, &new);
    // The number of a process that has another namespace by now.
    assert_eq!(rebind(&Rebind { pid: two.pid(), ..request.clone() }), []);
    assert_eq!(two.at(&target)[0].device, old.device());
    drop(one);
    assert_eq!(rebind(&request), []);
}

fn hanging() {
    let (mut old, new, stuck) = (Volume::local("old"), Volume::local("new"), Volume::local("stuck"));
    let home = directory();
    let (from, place) = (old.mount.display(), home.display());
    let container = Container::new(&format!(
        "cd {place}; mkdir first stuck; mount --bind {from} first; mount --bind {} stuck
         mount --bind {from} stuck/a; umount {from}",
        stuck.mount.display()
    ));
    let earlier = [earlier(&old)];
    old.process.kill();
    stuck.process.stop();
    // What the kernel knows of names is over.
    std::thread::sleep(Duration::from_secs(2));
    let request = request(&container, &earlier, &new);
    let (rebound, result) = block_on(helper().rebind(&request, Duration::from_secs(3)));
    assert_eq!(result, Err(Failed::TimedOut(Duration::from_secs(3))));
    assert!(all(&rebound, Placed::Instead) && rebound.len() == 1, "what went before it is done: {rebound:?}");
    let pid = Pid::from_raw(container.pid()).unwrap();
    rustix::process::kill_process(pid, Signal::KILL).unwrap();
}
