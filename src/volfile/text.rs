//! A volfile as its sections, in the order of the file; read from text or put together in code.

use std::borrow::Cow;
use std::fmt;

use bstr::{BStr, BString};

use super::error::line_at;

/// A volfile's sections, borrowing from its text.
///
/// Flat on purpose: one vector each for volumes, options and subvolumes, whatever their number. Two volfiles
/// are equal if they say the same in the same order, however they are laid out.
#[derive(Clone, Default)]
pub struct Volfile<'a> {
    text: &'a BStr,
    entries: Vec<Entry<'a>>,
    options: Vec<VolumeOption<'a>>,
    subvolumes: Vec<Subvolume<'a>>,
    pub(super) dropped: Vec<Dropped>,
}

#[derive(Clone)]
struct Entry<'a> {
    name: Cow<'a, BStr>,
    xlator_type: Cow<'a, BStr>,
    at: u32,
    /// Where its options and subvolumes end; they begin where those of the entry before end.
    options_end: u32,
    subvolumes_end: u32,
}

/// One `option KEY VALUE`.
#[derive(Clone)]
pub struct VolumeOption<'a> {
    /// The key, such as `remote-host`.
    pub key: Cow<'a, BStr>,
    /// The value, without quotes.
    pub value: Cow<'a, BStr>,
    pub(super) at: u32,
}

#[derive(Clone)]
pub(super) struct Subvolume<'a> {
    pub(super) name: Cow<'a, BStr>,
    pub(super) at: u32,
}

/// Something that `""` made disappear: glusterfs logs it and reads on.
#[derive(Clone, Debug)]
pub(super) struct Dropped {
    pub(super) section: u32,
    pub(super) at: u32,
    pub(super) what: What,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum What {
    Option,
    Subvolume,
}

impl<'a> Volfile<'a> {
    /// A volfile without volumes, to be filled with [`Volfile::volume`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a volume behind those already there; the last one is the top of the graph.
    pub fn volume(
        &mut self,
        name: impl Into<BString>,
        xlator_type: impl Into<BString>,
    ) -> VolumeBuilder<'_, 'a> {
        self.open(Cow::Owned(name.into()), b"");
        self.set_type(Cow::Owned(xlator_type.into()));
        VolumeBuilder { volfile: self }
    }

    /// The volumes in the order of the file.
    pub fn sections(&self) -> impl ExactSizeIterator<Item = Section<'_>> + DoubleEndedIterator {
        (0..self.len()).map(|index| Section { volfile: self, index })
    }

    /// How many volumes there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no volume: only before the first [`Volfile::volume`].
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The text that was parsed; empty for a volfile made in code.
    pub fn text(&self) -> &'a BStr {
        self.text
    }

    pub(super) fn of(text: &'a BStr) -> Self {
        Self { text, ..Self::default() }
    }

    pub(super) fn section(&self, index: usize) -> Section<'_> {
        Section { volfile: self, index }
    }

    /// Begins a volume; `left` is what was left of the text at that place, as for the other `push`es.
    pub(super) fn open(&mut self, name: Cow<'a, BStr>, left: &[u8]) {
        self.entries.push(Entry {
            name,
            xlator_type: Cow::default(),
            at: self.offset(left),
            options_end: self.options.len() as u32,
            subvolumes_end: self.subvolumes.len() as u32,
        });
    }

    pub(super) fn set_type(&mut self, xlator_type: Cow<'a, BStr>) {
        if let Some(entry) = self.entries.last_mut() {
            entry.xlator_type = xlator_type;
        }
    }

    pub(super) fn push_option(
        &mut self,
        key: Option<Cow<'a, BStr>>,
        value: Option<Cow<'a, BStr>>,
        left: &[u8],
    ) {
        let at = self.offset(left);
        let (Some(key), Some(value)) = (key, value) else { return self.drop_one(What::Option, at) };
        self.options.push(VolumeOption { key, value, at });
        if let Some(entry) = self.entries.last_mut() {
            entry.options_end += 1;
        }
    }

    pub(super) fn push_subvolume(&mut self, name: Option<Cow<'a, BStr>>, left: &[u8]) {
        let at = self.offset(left);
        let Some(name) = name else { return self.drop_one(What::Subvolume, at) };
        self.subvolumes.push(Subvolume { name, at });
        if let Some(entry) = self.entries.last_mut() {
            entry.subvolumes_end += 1;
        }
    }

    fn drop_one(&mut self, what: What, at: u32) {
        self.dropped.push(Dropped { section: self.entries.len() as u32 - 1, at, what });
    }

    /// Fits, because [`MAX_SIZE`](super::MAX_SIZE) does.
    fn offset(&self, left: &[u8]) -> u32 {
        (self.text.len() - left.len()) as u32
    }

    /// The line of the byte at `offset`; `None` where there is no text.
    pub(super) fn line(&self, offset: u32) -> Option<u32> {
        (!self.text.is_empty()).then(|| line_at(self.text, offset as usize))
    }
}

/// What is put into one volume of a [`Volfile`] made in code.
#[derive(Debug)]
pub struct VolumeBuilder<'v, 'a> {
    volfile: &'v mut Volfile<'a>,
}

impl VolumeBuilder<'_, '_> {
    /// Adds an option behind those already there.
    pub fn option(self, key: impl Into<BString>, value: impl Into<BString>) -> Self {
        self.volfile.push_option(Some(Cow::Owned(key.into())), Some(Cow::Owned(value.into())), b"");
        self
    }

    /// Adds subvolumes behind those already there.
    pub fn subvolumes<N: Into<BString>>(self, names: impl IntoIterator<Item = N>) -> Self {
        for name in names {
            self.volfile.push_subvolume(Some(Cow::Owned(name.into())), b"");
        }
        self
    }
}

/// One volume of a volfile, as written.
#[derive(Clone, Copy)]
pub struct Section<'v> {
    volfile: &'v Volfile<'v>,
    index: usize,
}

impl<'v> Section<'v> {
    /// The volume's name: that of a translator, such as `vol-client-0`.
    pub fn name(self) -> &'v BStr {
        &self.entry().name
    }

    /// The translator's type, such as `protocol/client`.
    pub fn xlator_type(self) -> &'v BStr {
        &self.entry().xlator_type
    }

    /// Its options in the order of the file, also those overridden by a later one of the same key.
    pub fn options(self) -> &'v [VolumeOption<'v>] {
        let begin = self.before().map_or(0, |before| before.options_end);
        &self.volfile.options[begin as usize..self.entry().options_end as usize]
    }

    /// The value in force of the option `key`: of several the last (facts §10.4).
    pub fn option(self, key: &str) -> Option<&'v BStr> {
        self.options().iter().rev().find(|option| *option.key == key).map(|option| &*option.value)
    }

    /// The names behind `subvolumes`, in their order.
    pub fn subvolumes(self) -> impl ExactSizeIterator<Item = &'v BStr> {
        self.children().iter().map(|child| &*child.name)
    }

    /// The line where the volume begins, from 1, or 0 if it was made in code. Counted at each call.
    pub fn line(self) -> u32 {
        self.volfile.line(self.entry().at).unwrap_or(0)
    }

    pub(super) fn at(self) -> u32 {
        self.entry().at
    }

    pub(super) fn children(self) -> &'v [Subvolume<'v>] {
        let begin = self.before().map_or(0, |before| before.subvolumes_end);
        &self.volfile.subvolumes[begin as usize..self.entry().subvolumes_end as usize]
    }

    fn entry(self) -> &'v Entry<'v> {
        &self.volfile.entries[self.index]
    }

    fn before(self) -> Option<&'v Entry<'v>> {
        self.volfile.entries[..self.index].last()
    }
}

impl PartialEq for Volfile<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.sections().zip(other.sections()).all(|(one, other)| one == other)
    }
}

impl Eq for Volfile<'_> {}

impl PartialEq for Section<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
            && self.xlator_type() == other.xlator_type()
            && self.options() == other.options()
            && self.subvolumes().eq(other.subvolumes())
    }
}

impl PartialEq for VolumeOption<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value == other.value
    }
}

/// Names and numbers only: a volfile holds credentials, and `{:?}` ends in logs.
impl fmt::Debug for Volfile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sections()).finish()
    }
}

impl fmt::Debug for VolumeOption<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.key)
    }
}

impl fmt::Debug for Section<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, xlator_type, options) = (self.name(), self.xlator_type(), self.options().len());
        write!(f, "{name:?} ({xlator_type}, {options} options, {} subvolumes)", self.children().len())
    }
}
