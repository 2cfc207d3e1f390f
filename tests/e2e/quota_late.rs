//! quotad comes to PVs that are full of files already: a pod is at work in them, or kadalu-quotad was there before.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use glusterd_client::storage::quota::Code;
use rustix::fs::{CWD, FileType, Mode};

use crate::lab::{Kind, eventually, require_quota};
use crate::labs::Labs;
use crate::quotad::{Bed, MIB, stopped};

story! { needs require_quota; files_of_before, more_than_its_size, from_kadalu_quotad }

/// How many directories a pod has, and files of before in each.
const DIRECTORIES: usize = 4;
const FILES: usize = 8;

/// A PV has directories, files, hard links, symlinks and a FIFO before quotad comes, and a pod renames, links and makes
/// files in it all the while. Once the limit is acknowledged on every brick, no rename and no link of anything inside fails
/// with EXDEV; those of symlinks and FIFOs since Linux 6.17. `xfs_quota` finds no file of the PV in another project.
fn files_of_before(labs: &Labs) {
    let mut bed = Bed::without_quotad(labs, "quota", "quota-late", Kind::Replica3);
    let volume = bed.try_create("pvc-late", 32 * MIB, &[]).expect("nobody has to enforce it");
    let target = bed.publish(&volume, "late");
    let pv = bed.lab.client().seen(&target);
    fill(&pv);

    let pod =
        Pod { pv: &pv, ends: AtomicBool::new(false), done: AtomicU64::new(0), refused: AtomicU64::new(0) };
    let projects = thread::scope(|scope| {
        scope.spawn(|| pod.work());
        // Also where this thread panics.
        let _ends = Ends(&pod.ends);
        pod.wait(50);
        assert_eq!(pod.refused.load(Ordering::Relaxed), 0, "nothing is in a project yet");
        bed.start_quotads(&[]);
        let projects = bed.wait_limited(Bed::path(&volume), 32 * MIB);
        // What it had begun before.
        pod.wait(1);
        let refused = pod.refused.load(Ordering::Relaxed);
        eprintln!("refused while files were put into the project: {refused}");
        pod.wait(150);
        assert_eq!(pod.refused.load(Ordering::Relaxed), refused, "of {:?}", pod.done);
        projects
    });

    let (mut names, mut seen) = (0_u64, [0, 0]);
    for path in all(&pv) {
        names += 1;
        let kind = fs::symlink_metadata(&path).expect("it is there").file_type();
        let is_plain = kind.is_file() || kind.is_dir();
        seen[usize::from(is_plain)] += 1;
        let is_free = is_plain || special_files_have_projects();
        for to in [path.with_file_name("renamed"), pv.join("dir-0/renamed-too")] {
            if to.starts_with(&path) {
                continue;
            }
            let renamed = fs::rename(&path, &to).and_then(|()| fs::rename(&to, &path));
            assert!(!is_refused(&path, renamed) || !is_free, "{} to {}", path.display(), to.display());
            if !kind.is_dir() {
                let linked = fs::hard_link(&path, &to).and_then(|()| fs::remove_file(&to));
                assert!(!is_refused(&path, linked) || !is_free, "{} as {}", path.display(), to.display());
            }
        }
    }
    assert!(seen[1] > FILES * DIRECTORIES && seen[0] >= 2 * DIRECTORIES, "{seen:?} of {names}");

    for (n, project) in projects.into_iter().enumerate() {
        let (host, brick) = &bed.bricks[n];
        let path = format!("{brick}/{}", Bed::path(&volume));
        let said = host.xfs_quota("quota", &format!("project -c -p {path} {project}"));
        assert!(
            said.contains("Checking project") && !said.contains("is not set"),
            "{}: {said}",
            bed.brick(n)
        );
    }
    bed.driver.end_of(&volume, &target);
}

/// A PV has more in it than its size before quotad comes: that is said on each brick and by the controller, nothing more can
/// be written, and the limit is what is used. Expanded, it is in force and takes more.
fn more_than_its_size(labs: &Labs) {
    let mut bed = Bed::without_quotad(labs, "quota", "quota-overfull", Kind::Single);
    let volume = bed.try_create("pvc-overfull", 16 * MIB, &[]).expect("nobody has to enforce it");
    let target = bed.publish(&volume, "overfull");
    bed.write(&format!("{target}/before"), 20 << 10).expect(0);
    bed.start_quotads(&[]);
    let path = Bed::path(&volume);
    let said = eventually("it is said that it has too much", || {
        bed.said(0, path).filter(|said| said.problem.as_ref().is_some_and(|of| of.code == Code::InUse))
    });
    let limit = said.limits.expect("it is limited to what it uses").bytes;
    assert!((20 * MIB..21 * MIB).contains(&limit), "{said:?}");
    bed.wait_unhealthy(&volume, 0, &["more than the"]);
    stopped(&bed.write(&format!("{target}/more"), 2 << 10).expect(1).stderr);
    assert_eq!(bed.check_pv("pvc-overfull")[0]["problem"]["code"], "InUse");

    let caller = bed.driver.caller();
    bed.driver.block(caller.expand(&volume.volume_id, 32 << 20)).expect("nobody has to enforce it");
    bed.wait_limited(path, 32 * MIB);
    bed.write(&format!("{target}/more"), 8 << 10).expect(0);
    bed.wait_healthy(&volume);
    bed.driver.end_of(&volume, &target);
}

/// Two PVs of kadalu, with projects and limits as kadalu-quotad sets them by `xfs_quota`: the numbers of their inodes, other
/// ones on each brick. quotad keeps them, and acknowledges them.
fn from_kadalu_quotad(labs: &Labs) {
    let mut bed = Bed::without_quotad(labs, "quota", "quota-kadalu", Kind::Replica3);
    let client = bed.lab.client();
    let mount = client.mount_volume(bed.lab.host(0), bed.volume);
    // Facts §1.4: the hashes of their names.
    let pvs = [
        "subvol/d2/09/pvc-3f7bf2c3-66b5-47d9-9116-7bdf050b239d",
        "subvol/29/1f/pvc-55294143-00c8-4482-bbce-469aea6b62e9",
    ];
    for path in pvs {
        let prefix = path.rsplit_once('/').expect("a path").0;
        client.shell(&format!(
            "cd {mount}; mkdir -p {path}/dir info/{prefix}; echo data >{path}/dir/file; \
             echo '{{\"size\": 16777216, \"path_prefix\": \"{prefix}\"}}' >info/{path}.json"
        ));
    }
    let inode = |n: usize, path: &str| {
        let inode = fs::metadata(bed.on_brick(n, path)).expect("its directory").ino();
        u32::try_from(inode).expect("a small file system")
    };
    let before: Vec<_> = (0..3).map(|n| pvs.map(|path| inode(n, path))).collect();
    for ((host, brick), ids) in bed.bricks.iter().zip(&before) {
        for (path, id) in pvs.iter().zip(ids) {
            host.xfs_quota("quota", &format!("project -s -p {brick}/{path} {id}"));
            host.xfs_quota("quota", &format!("limit -p bhard=16m {id}"));
        }
    }
    bed.start_quotads(&[]);
    for (at, path) in pvs.iter().enumerate() {
        let kept = bed.wait_limited(path, 16 * MIB);
        assert_eq!(kept, before.iter().map(|ids| ids[at]).collect::<Vec<_>>(), "{path}");
    }
    for ((host, _), ids) in bed.bricks.iter().zip(&before) {
        let report = host.xfs_quota("quota", "report -p -n -b -N");
        let limited = |id: &u32| {
            report.lines().any(|line| {
                let words: Vec<_> = line.split_whitespace().collect();
                words.first() == Some(&format!("#{id}").as_str()) && words.get(3) == Some(&"16384")
            })
        };
        assert!(ids.iter().all(limited), "{}: {ids:?}: {report}", host.name());
    }
    stopped(&bed.write(&format!("{mount}/{}/dir/large", pvs[0]), 18 << 10).expect(1).stderr);
    bed.write(&format!("{mount}/{}/dir/large", pvs[1]), 14 << 10).expect(0);
    client.shell(&format!("umount {mount}"));
}

/// Directories with files, each with a hard link in the next one, a symlink and a FIFO in each.
fn fill(pv: &Path) {
    let made = (0..DIRECTORIES).try_for_each(|n| {
        let dir = pv.join(format!("dir-{n}"));
        fs::create_dir_all(dir.join("below"))?;
        symlink("nowhere", dir.join("symlink"))?;
        rustix::fs::mknodat(CWD, dir.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        (0..FILES).try_for_each(|file| fs::write(dir.join(format!("below/file-{file}")), "data"))
    });
    let linked = made.and_then(|()| {
        (0..DIRECTORIES).try_for_each(|n| {
            let link = pv.join(format!("dir-{}/link", (n + 1) % DIRECTORIES));
            fs::hard_link(pv.join(format!("dir-{n}/below/file-0")), link)
        })
    });
    linked.expect("a volume to write to");
}

/// All names below a directory.
fn all(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let entries = entries.map(|entry| entry.expect("an entry"));
    entries
        .flat_map(|entry| {
            let is_dir = entry.file_type().expect("its type").is_dir();
            let below = if is_dir { all(&entry.path()) } else { Vec::new() };
            below.into_iter().chain([entry.path()])
        })
        .collect()
}

/// Whether something failed because of projects; nothing else may.
#[track_caller]
fn is_refused(path: &Path, outcome: std::io::Result<()>) -> bool {
    match outcome {
        Ok(()) => false,
        Err(error) if error.kind() == ErrorKind::CrossesDevices => true,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

/// `file_setattr(2)` puts them into one since Linux 6.17.
fn special_files_have_projects() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel's version");
    let mut numbers = release.split(['.', '-']).map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(17))
}

/// What renames, links and makes files in its volume until it is told to end.
struct Pod<'a> {
    pv: &'a Path,
    ends: AtomicBool,
    done: AtomicU64,
    refused: AtomicU64,
}

impl Pod<'_> {
    fn work(&self) {
        let mut random = fastrand::Rng::with_seed(5);
        let mut files: Vec<_> = all(self.pv)
            .into_iter()
            .filter(|path| path.ends_with("file-1") || path.ends_with("file-2"))
            .collect();
        for n in 0.. {
            if self.ends.load(Ordering::Relaxed) {
                return;
            }
            let dir = self.pv.join(format!("dir-{}", random.usize(..DIRECTORIES)));
            let at = random.usize(..files.len());
            let to = dir.join(format!("by-pod-{n}"));
            let outcome = match n % 4 {
                0 => fs::rename(&files[at], &to).map(|()| files[at] = to),
                1 => fs::hard_link(&files[at], &to).and_then(|()| fs::remove_file(&to)),
                2 => fs::write(&to, "new").map(|()| files[at] = to),
                // A directory with what is in it, and back.
                _ => fs::rename(dir.join("below"), &to).map(|()| {
                    while is_refused(&to, fs::rename(&to, dir.join("below"))) {
                        self.refused.fetch_add(1, Ordering::Relaxed);
                    }
                }),
            };
            self.refused.fetch_add(u64::from(is_refused(&dir, outcome)), Ordering::Relaxed);
            self.done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until it has done so much more.
    fn wait(&self, more: u64) {
        let until = self.done.load(Ordering::Relaxed) + more;
        eventually("a pod's work", || (self.done.load(Ordering::Relaxed) >= until).then_some(()));
    }
}

/// Ends a pod's work.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
