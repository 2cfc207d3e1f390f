//! Where a PV and its record lie on a volume: kadalu's layout (facts §1.4).
//!
//! ```text
//! subvol/d3/d3/pvc-1                 the PV
//! info/subvol/d3/d3/pvc-1.json       its record
//! subvol/d3/d3/archived-pvc-1        an archived one, below the hash of its first name
//! .kadalu-trash/pvc-1.1767225600000  a deleted one, until it is emptied
//! ```
//!
//! The two directories between are the first bytes of XXH64 of the PV's name on disk, its *component*.

use std::fmt::{self, Write};

use twox_hash::XxHash64;

use super::{Error, Reason};

/// The directory of PVs at a volume's root.
pub const DATA: &str = "subvol";

/// The directory of their records.
pub const INFO: &str = "info/subvol";

/// Where deleted PVs wait to be emptied: outside of [`DATA`], so that they inherit no quota project.
pub const TRASH: &str = ".kadalu-trash";

/// What stands before the component of an archived PV.
pub const ARCHIVED: &str = "archived-";

/// The longest name that CSI allows, in bytes.
pub const MAX_NAME: usize = 128;

/// The longest component that is made, in bytes: with a volume's id and a `/`, a volume handle of 128 bytes.
pub const MAX_MADE: usize = 91;

/// The longest component that is found, in bytes: what a file name of 255 leaves beside `.json` and a
/// temporary file's own part.
pub const MAX_COMPONENT: usize = 232;

/// Bytes of a long component that are kept before its hash.
const KEPT: usize = 74;

/// The component of a PV's CSI name: the name itself, wherever it can stand in a path as it is.
///
/// Its `/`, `%` and control characters, and what at its start would hide it or call it archived, are percent-encoded; a
/// long one is cut, and told from others by the hash of its name.
///
/// # Errors
/// `Invalid` for a name that CSI forbids.
pub fn component(name: &str) -> Result<String, Error> {
    if name.is_empty() {
        return Err(Error::new(Reason::Invalid, "the volume's name is empty"));
    }
    if name.len() > MAX_NAME {
        let message = format!("the volume's name has {} bytes; at most {MAX_NAME} are possible", name.len());
        return Err(Error::new(Reason::Invalid, message));
    }
    if let Some(banned) = name.chars().find(|char| char.is_control() && !"\t\n\r".contains(*char)) {
        let message = format!("the volume's name has the control character U+{:04X}", u32::from(banned));
        return Err(Error::new(Reason::Invalid, message));
    }
    let mut component = String::with_capacity(name.len());
    for (at, char) in name.char_indices() {
        let starts = at == 0 && (char == '.' || name.starts_with(ARCHIVED));
        match char {
            '/' | '%' | '\t' | '\n' | '\r' => encode(&mut component, char),
            _ if starts => encode(&mut component, char),
            _ => component.push(char),
        }
    }
    if component.len() > MAX_MADE {
        component.truncate(component.floor_char_boundary(KEPT));
        // Writing to a string cannot fail.
        let _ = write!(component, "-{:016x}", XxHash64::oneshot(0, name.as_bytes()));
    }
    Ok(component)
}

fn encode(into: &mut String, char: char) {
    // An ASCII character is a byte; writing to a string cannot fail.
    let _ = write!(into, "%{:02x}", u32::from(char)).map(|()| {
        let at = into.len() - 2;
        into[at..].make_ascii_uppercase();
    });
}

/// Where one PV lies: its component below the two directories of a hash.
///
/// Shown as the path of its directory from the volume's root.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    component: String,
    /// `d3/d3`.
    hash: String,
}

impl Place {
    /// The place of a component.
    ///
    /// # Errors
    /// `Invalid` for what is no component: empty, too long, a way through the tree, a hidden file, control characters.
    pub fn of(component: &str) -> Result<Self, Error> {
        check(component)?;
        Ok(Self { component: component.to_owned(), hash: hash(component) })
    }

    /// A place as it was found; `hash` is the path of its directory, such as `d3/d3`.
    pub(crate) fn found(component: &str, hash: &str) -> Result<Self, Error> {
        check(component)?;
        Ok(Self { component: component.to_owned(), hash: hash.to_owned() })
    }

    /// The place that a path says, such as `subvol/d3/d3/pvc-1`; none for what is no path.
    pub(super) fn at(path: &str) -> Option<Result<Self, Error>> {
        let (hash, component) = path.strip_prefix(DATA)?.strip_prefix('/')?.rsplit_once('/')?;
        Some(Self::of(component).and_then(|of| match Self::found(component, hash)? {
            place if place == of || place.first_component().is_some() => Ok(place),
            _ => {
                let message = format!("{component:?} is at {of}, or below the hash of its first name");
                Err(Error::new(Reason::Invalid, message))
            }
        }))
    }

    /// The places where an archived PV of this component can be: below the hash of its first name, which ends before a
    /// number, if it has one.
    pub(super) fn of_archived(component: &str) -> Result<Vec<Self>, Error> {
        check(component)?;
        let Some(first) = component.strip_prefix(ARCHIVED) else { return Ok(Vec::new()) };
        let numbered = first.rsplit_once('.').filter(|(_, number)| number.parse::<u32>().is_ok());
        let names = [Some(first), numbered.map(|(name, _)| name)];
        Ok(names
            .into_iter()
            .flatten()
            .map(|name| Self { component: component.to_owned(), hash: hash(name) })
            .collect())
    }

    /// The `n`th place, from 1, for this PV when it is archived.
    pub(super) fn archive(&self, n: u32) -> Self {
        let number = if n > 1 { format!(".{n}") } else { String::new() };
        Self { component: format!("{ARCHIVED}{}{number}", self.component), hash: self.hash.clone() }
    }

    /// Whether a component is one of those that [`Place::archive`] gives.
    pub(super) fn is_archive(&self, component: &str) -> bool {
        let number = component.strip_prefix(ARCHIVED).and_then(|first| first.strip_prefix(&self.component));
        number.is_some_and(|rest| {
            rest.is_empty() || rest.strip_prefix('.').is_some_and(|n| n.parse::<u32>().is_ok())
        })
    }

    /// The component of the PV that was archived here; none where this is no archived PV.
    ///
    /// A PV of kadalu may be called `archived-…` from its beginning: it lies below the hash of that name.
    pub(crate) fn first_component(&self) -> Option<&str> {
        let first = self.component.strip_prefix(ARCHIVED)?;
        let numbered = first.rsplit_once('.').filter(|(_, number)| number.parse::<u32>().is_ok());
        [Some(first), numbered.map(|(name, _)| name)]
            .into_iter()
            .flatten()
            .find(|name| hash(name) == self.hash)
    }

    /// The component.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The path of the directory that it lies in, as kadalu's records have it: `subvol/d3/d3`.
    pub fn prefix(&self) -> String {
        format!("{DATA}/{}", self.hash)
    }

    /// The path of its record's directory.
    pub(crate) fn info(&self) -> String {
        format!("{INFO}/{}", self.hash)
    }

    /// The name of its record.
    pub(crate) fn record(&self) -> String {
        format!("{}.json", self.component)
    }

    /// The two directories of the hash, `d3/d3`.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{DATA}/{}/{}", self.hash, self.component)
    }
}

fn hash(component: &str) -> String {
    let hex = format!("{:016x}", XxHash64::oneshot(0, component.as_bytes()));
    format!("{}/{}", &hex[..2], &hex[2..4])
}

/// Whether this can be the name of one of the two directories of a hash: two lower-case hexadecimal digits.
pub(crate) fn is_hash(name: &str) -> bool {
    name.len() == 2 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn check(component: &str) -> Result<(), Error> {
    let refuse = |why: &str| {
        let shown = component.chars().take(64).collect::<String>();
        Err(Error::new(Reason::Invalid, format_args!("{shown:?} is no PV of this pool: {why}")))
    };
    match component {
        "" => refuse("it is empty"),
        _ if component.len() > MAX_COMPONENT => {
            refuse(&format!("{} bytes are more than {MAX_COMPONENT}", component.len()))
        }
        _ if component.starts_with('.') => refuse("it starts with '.'"),
        _ if component.contains('/') => refuse("it has a '/' in it"),
        _ if component.contains(char::is_control) => refuse("it has a control character in it"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_kadalu() {
        for (name, path) in [
            ("pvc-1", "d3/d3"),
            ("pvc-cab174b3-d77c-41f5-83e7-bc84ac75606c", "a6/bf"),
            ("pvc-3f7bf2c3-66b5-47d9-9116-7bdf050b239d", "d2/09"),
            ("pvc-55294143-00c8-4482-bbce-469aea6b62e9", "29/1f"),
            ("pvc-d9f7e490-f0c7-41c0-bfb7-8a90428223ab", "52/c9"),
            ("pvc-d6178372-a919-4329-9f0e-e192e5ef6cc3", "fb/ba"),
        ] {
            assert_eq!(component(name).unwrap(), name);
            assert_eq!(Place::of(name).unwrap().to_string(), format!("subvol/{path}/{name}"));
        }
        assert_eq!(hash(""), "ef/46");
        assert_eq!(format!("{:016x}", XxHash64::oneshot(0, b"pvc-1")), "d3d368531b48c1bb");
    }

    #[test]
    fn what_cannot_stand_in_a_path_is_encoded() {
        for (name, expected) in [
            ("a/b", "a%2Fb"),
            ("..", "%2E."),
            (".hidden", "%2Ehidden"),
            ("a.b", "a.b"),
            ("100%", "100%25"),
            ("a%2Fb", "a%252Fb"),
            ("tab\tline\nreturn\r", "tab%09line%0Areturn%0D"),
            ("archived-pvc-1", "%61rchived-pvc-1"),
            ("archived", "archived"),
            ("Größe 1", "Größe 1"),
        ] {
            assert_eq!(component(name).unwrap(), expected);
            assert!(Place::of(expected).is_ok());
        }
    }

    #[test]
    fn long_names_are_cut_and_told_apart() {
        let kept = "n".repeat(MAX_MADE);
        assert_eq!(component(&kept).unwrap(), kept);
        let [one, two] = ["1", "2"].map(|end| component(&("n".repeat(127) + end)).unwrap());
        assert_eq!((one.len(), &one[..75], one == two), (MAX_MADE, &*("n".repeat(74) + "-"), false));
        let wide = component(&"ü".repeat(64)).unwrap();
        assert!(wide.starts_with(&"ü".repeat(37)) && wide.len() == MAX_MADE, "{wide}");
        let odd = component(&format!("a{}", "ü".repeat(63))).unwrap();
        assert_eq!(odd.len(), MAX_MADE - 1);
    }

    #[test]
    fn hostile_names_and_components_are_refused() {
        let long = "n".repeat(129);
        for name in ["", &long, "a\0b", "a\u{8}", "a\u{b}", "a\u{7f}", "a\u{9f}"] {
            assert_eq!(component(name).unwrap_err().reason(), Reason::Invalid);
        }
        let long = "n".repeat(10 << 20);
        for component in ["", ".", "..", "a/b", "../a", ".a.json.x", "a\0b", "a\nb", &long] {
            let error = Place::of(component).unwrap_err();
            assert!(error.reason() == Reason::Invalid && error.to_string().len() < 400, "{error}");
        }
    }

    #[test]
    fn paths_are_places() {
        for path in ["subvol/d3/d3/pvc-1", "subvol/d3/d3/archived-pvc-1.2"] {
            assert_eq!(Place::at(path).unwrap().unwrap().to_string(), path);
        }
        for path in
            ["subvol/d3/d4/pvc-1", "subvol/../../x", "subvol/d3/d3/..", "subvol//pvc-1", "subvol/d3/d3/"]
        {
            assert_eq!(Place::at(path).unwrap().unwrap_err().reason(), Reason::Invalid, "{path}");
        }
        for name in ["pvc-1", "", "subvol", "subvol/pvc-1", "subvolx/d3/d3/pvc-1"] {
            assert!(Place::at(name).is_none(), "{name}");
        }
    }

    #[test]
    fn archived_places_are_found_by_their_names() {
        let place = Place::of("pvc-1").unwrap();
        for (n, path) in [(1, "subvol/d3/d3/archived-pvc-1"), (2, "subvol/d3/d3/archived-pvc-1.2")] {
            let archived = place.archive(n);
            assert_eq!(archived.to_string(), path);
            assert!(Place::of_archived(archived.component()).unwrap().contains(&archived));
            assert_eq!(archived.first_component(), Some("pvc-1"));
            assert!(place.is_archive(archived.component()));
        }
        // A PV that was called so from its beginning.
        assert_eq!(Place::of("archived-pvc-1").unwrap().first_component(), None);
        assert!(Place::of_archived("pvc-1").unwrap().is_empty());
        for other in ["pvc-1", "archived-pvc-12", "archived-pvc-1.x", "archived-pvc-2"] {
            assert!(!place.is_archive(other));
        }
    }
}
