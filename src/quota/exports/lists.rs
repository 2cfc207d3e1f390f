//! The admin's lists in glusterd's directory: `kadalustorage.info`, of volumes, and kadalu's `kadalu.info`, of bricks.

use std::{io, path::Path};

use serde_json::Value;

use super::file::{quoted, read};

/// More than 10,000 paths.
const MAX_LIST: u64 = 4 << 20;

/// A list, and what of it has been found.
#[derive(Debug)]
pub(super) struct List(Vec<Entry>);

/// What is listed, and where.
#[derive(Debug)]
pub(super) struct Entry {
    /// A volume's name or a brick's path.
    pub(super) name: String,
    /// The file and the place in it, for people.
    pub(super) place: String,
    found: bool,
}

impl List {
    /// Whether something that is there is listed.
    pub(super) fn find(&mut self, is: impl Fn(&str) -> bool) -> bool {
        let mut found = false;
        for entry in self.0.iter_mut().filter(|entry| is(&entry.name)) {
            (entry.found, found) = (true, true);
        }
        found
    }

    /// What is listed and was not found.
    pub(super) fn left(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter().filter(|entry| !entry.found)
    }

    /// Whether nothing is listed.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads a list; one that is not there is empty.
///
/// Two forms are taken: kadalu's, `{"version": 1, "KEY": ["…", …]}`, and a name a line, with `#` before comments. What is not
/// understood is left out and told in `faults`.
pub(super) fn read_list(
    path: &Path,
    key: &str,
    check: fn(&str) -> Result<(), String>,
    faults: &mut Vec<String>,
) -> List {
    let shown = path.display();
    let bytes = match read(path, MAX_LIST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return List(Vec::new()),
        Err(error) => {
            faults.push(format!("{shown}: {error}; nothing of it is used"));
            return List(Vec::new());
        }
    };
    let entries = if bytes.trim_ascii_start().starts_with(b"{") {
        match of_object(&bytes, key) {
            Ok(entries) => entries,
            Err(why) => {
                faults.push(format!("{shown}: {why}; nothing of it is used"));
                return List(Vec::new());
            }
        }
    } else {
        of_lines(&bytes)
    };
    let mut listed = Vec::new();
    for (place, name) in entries {
        let place = format!("{shown}, {place}");
        match name.and_then(|name| check(&name).map(|()| name)) {
            Ok(name) => listed.push(Entry { name, place, found: false }),
            Err(why) => faults.push(format!("{place}: {why}; the rest is used")),
        }
    }
    List(listed)
}

/// A place in a list, and what is there.
type Place = (String, Result<String, String>);

fn of_object(bytes: &[u8], key: &str) -> Result<Vec<Place>, String> {
    let object: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match object.get("version") {
        None => {}
        Some(version) if version == 1 => {}
        Some(version) => return Err(format!("its version is {version}, and 1 is what is understood")),
    }
    let entries = object.get(key).and_then(Value::as_array);
    let entries = entries.ok_or_else(|| format!("there is no list {key:?} in it"))?;
    let name = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| "it is no text".to_owned());
    Ok(entries.iter().enumerate().map(|(n, value)| (format!("entry {}", n + 1), name(value))).collect())
}

fn of_lines(bytes: &[u8]) -> Vec<Place> {
    let mut entries = Vec::new();
    for (n, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default().trim_ascii();
        if !line.is_empty() {
            let name = str::from_utf8(line).map(str::to_owned).map_err(|_| "it is not UTF-8".to_owned());
            entries.push((format!("line {}", n + 1), name));
        }
    }
    entries
}

/// Whether glusterd would take it as the name of a volume (glusterd-op-sm.c, `glusterd_is_valid_volname`).
pub(super) fn is_volume(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match name.bytes().all(plain) && (1..=255).contains(&name.len()) {
        true => Ok(()),
        false => Err(format!("{} is no name of a volume", quoted(name))),
    }
}

/// Whether it is an absolute path.
pub(super) fn is_path(name: &str) -> Result<(), String> {
    match name.starts_with('/') && !name.contains('\0') {
        true => Ok(()),
        false => Err(format!("{} is no path of a brick: it begins with a slash", quoted(name))),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// The names and the faults that a list of this text has, with `FILE` for its path.
    fn of(text: &[u8], key: &str) -> (Vec<String>, Vec<String>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("list");
        fs::write(&path, text).unwrap();
        let mut faults = Vec::new();
        let check = if key == "bricks" { is_path } else { is_volume };
        let List(entries) = read_list(&path, key, check, &mut faults);
        let file = path.display().to_string();
        let faults = faults.iter().map(|fault| fault.replace(&file, "FILE")).collect();
        (entries.into_iter().map(|entry| entry.name).collect(), faults)
    }

    #[test]
    fn a_bad_line_spoils_itself() {
        let (names, faults) = of(b"# ours\nvol\n\n  one # two\n../x\nv\xff\n", "volumes");
        assert_eq!(names, ["vol", "one"]);
        assert_eq!(
            faults,
            [
                "FILE, line 5: \"../x\" is no name of a volume; the rest is used",
                "FILE, line 6: it is not UTF-8; the rest is used"
            ]
        );
        let (names, faults) = of(br#"{"version":1,"bricks":["/b/1/",7,"b"]}"#, "bricks");
        assert_eq!(names, ["/b/1/"]);
        assert_eq!(
            faults,
            [
                "FILE, entry 2: it is no text; the rest is used",
                "FILE, entry 3: \"b\" is no path of a brick: it begins with a slash; the rest is used"
            ]
        );
    }

    #[test]
    fn what_is_no_list_is_named() {
        for (text, why) in [
            (&b"{\"version\":1,"[..], "EOF while parsing a value at line 1 column 13"),
            (br#"{"version":2,"volumes":[]}"#, "its version is 2, and 1 is what is understood"),
            (br#"{"bricks":["/b"]}"#, "there is no list \"volumes\" in it"),
            (&[vec![b'{'; 1], vec![b' '; 5 << 20]].concat(), "larger than 4194304 bytes"),
        ] {
            assert_eq!(of(text, "volumes"), (vec![], vec![format!("FILE: {why}; nothing of it is used")]));
        }
        let deep = [b'['; 100_000];
        assert_eq!(of(&[b"{\"volumes\":", &deep[..]].concat(), "volumes").1.len(), 1);
    }

    #[test]
    fn none_is_no_fault() {
        let mut faults = Vec::new();
        let list = read_list(Path::new("/nowhere/at/all"), "bricks", is_path, &mut faults);
        assert!(list.is_empty() && faults.is_empty());
        assert_eq!(of(b"", "volumes"), (vec![], vec![]));
    }
}
