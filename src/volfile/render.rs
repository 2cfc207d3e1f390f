//! A volfile back to text.

use std::fmt;

use bstr::{BStr, ByteSlice};
use thiserror::Error;

use super::MAX_SIZE;
use super::graph::{Graph, Xlator};
use super::lex::{self, Keyword};
use super::secret::{is_credential, redacted_value, shown_key};
use super::shown::{Shown, shown};
use super::text::Volfile;

/// Why a [`Volfile`] has no text. One that was parsed from a text without zero bytes and backticks, and in
/// which `""` dropped nothing, always has one.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum RenderError {
    /// There is no volume.
    #[error("a volfile needs a volume")]
    Empty,
    /// A volume has neither options nor subvolumes, which the grammar has no room for.
    #[error("volume `{volume}` has neither an option nor a subvolume: glusterfs would refuse it")]
    Bare {
        /// Its name.
        volume: String,
    },
    /// A word cannot be written: it is empty, or has a newline, a zero byte or a backtick in it.
    #[error("volume `{volume}`: {what} cannot be written in a volfile")]
    Word {
        /// The volume in which it stands.
        volume: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The text would be larger than [`MAX_SIZE`].
    #[error("the volfile would have {size} bytes, more than the limit of {MAX_SIZE}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
}

impl Volfile<'_> {
    /// The text of the volfile, laid out as glusterd does (facts §10.5) but with quotes where they are
    /// needed. [`Volfile::parse`] of it gives an equal volfile. It has the credentials in it.
    ///
    /// # Errors
    /// What glusterfs has no way to read.
    pub fn render(&self) -> Result<Vec<u8>, RenderError> {
        let mut text = Vec::with_capacity(self.text().len());
        for (index, section) in self.sections().enumerate() {
            let volume = || shown(section.name());
            if section.options().is_empty() && section.children().is_empty() {
                return Err(RenderError::Bare { volume: volume() });
            }
            let options = section.options().iter().flat_map(|option| [&*option.key, &*option.value]);
            for word in
                [section.name(), section.xlator_type()].into_iter().chain(options).chain(section.subvolumes())
            {
                unwritable(word).map_or(Ok(()), |what| Err(RenderError::Word { volume: volume(), what }))?;
            }
            if index > 0 {
                text.push(b'\n');
            }
            let options = section.options().iter().map(|option| (&*option.key, &*option.value));
            write_volume(&mut text, section.name(), section.xlator_type(), options, section.subvolumes());
        }
        match text.len() {
            0 => Err(RenderError::Empty),
            size if size > MAX_SIZE => Err(RenderError::TooLarge { size }),
            _ => Ok(text),
        }
    }

    /// The volfile for eyes and logs: laid out like [`Volfile::render`], with `(secret)` for secrets and
    /// control characters escaped.
    pub fn redacted(&self) -> impl fmt::Display {
        fmt::from_fn(|f| {
            for (index, section) in self.sections().enumerate() {
                let mut text = Vec::new();
                let keys: Vec<_> = section.options().iter().map(|option| shown_key(&option.key)).collect();
                let values =
                    section.options().iter().map(|option| redacted_value(&option.key, &option.value));
                let options = keys.iter().map(|key| &**key).zip(values);
                write_volume(&mut text, section.name(), section.xlator_type(), options, section.subvolumes());
                if index > 0 {
                    writeln!(f)?;
                }
                for line in text.lines() {
                    writeln!(f, "{}", Shown(line.as_bstr()))?;
                }
            }
            Ok(())
        })
    }
}

impl Graph<'_> {
    /// Bytes that are equal for two graphs exactly if [`diff`](super::diff) finds no change between them:
    /// what is below the top, children first, options sorted, credentials left out. For digests; it has the
    /// secrets in it that are not credentials.
    pub fn canonical_bytes(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.volfile().text().len());
        let mut written = vec![false; self.xlators().len()];
        let mut open = vec![(self.top(), false)];
        while let Some((xlator, below_done)) = open.pop() {
            if written[xlator.index()] {
                continue;
            }
            if !below_done {
                open.push((xlator, true));
                open.extend(xlator.children().rev().map(|child| (child, false)));
                continue;
            }
            written[xlator.index()] = true;
            let options = xlator.options().into_iter().filter(|(key, _)| !is_credential(key));
            write_volume(
                &mut text,
                xlator.name(),
                xlator.xlator_type(),
                options,
                xlator.children().map(Xlator::name),
            );
        }
        text
    }
}

fn write_volume<'w>(
    text: &mut Vec<u8>,
    name: &BStr,
    xlator_type: &BStr,
    options: impl Iterator<Item = (&'w BStr, &'w BStr)>,
    subvolumes: impl ExactSizeIterator<Item = &'w BStr>,
) {
    let mut line = |head: &str, words: &[&BStr]| {
        text.extend_from_slice(head.as_bytes());
        for word in words {
            text.push(b' ');
            write_word(text, word);
        }
        text.push(b'\n');
    };
    line("volume", &[name]);
    line("    type", &[xlator_type]);
    for (key, value) in options {
        line("    option", &[key, value]);
    }
    if subvolumes.len() > 0 {
        line("    subvolumes", &subvolumes.collect::<Vec<_>>());
    }
    line("end-volume", &[]);
}

fn write_word(text: &mut Vec<u8>, word: &BStr) {
    let plain = word.iter().all(|byte| lex::is_word(*byte)) && Keyword::of(word).is_none();
    if plain && !word.is_empty() && !word.starts_with(b"#") {
        return text.extend_from_slice(word);
    }
    text.push(b'"');
    for byte in word.iter() {
        if matches!(byte, b'"' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    text.push(b'"');
}

/// Why no quotes help to write `word`.
fn unwritable(word: &BStr) -> Option<&'static str> {
    if word.is_empty() {
        return Some("an empty word");
    }
    word.iter().find_map(|byte| match byte {
        b'\n' => Some("a newline"),
        0 => Some("a zero byte"),
        b'`' => Some("a backtick"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_what_needs_quotes_and_nothing_else() {
        let mut volfile = Volfile::new();
        volfile
            .volume("a", "x/y")
            .option("k", "v w")
            .option("type", "#v")
            .option("b", "a\\\"b")
            .option("c", "a#'b");
        volfile.volume("top", "x/y").subvolumes(["a"]);
        let text = volfile.render().unwrap();
        assert_eq!(
            text.as_bstr(),
            "volume a\n    type x/y\n    option k \"v w\"\n    option \"type\" \"#v\"\n    option b \"a\\\\\\\"b\"\n    \
             option c a#'b\nend-volume\n\nvolume top\n    type x/y\n    subvolumes a\nend-volume\n"
        );
        assert_eq!(Volfile::parse(&text).unwrap(), volfile);
    }

    #[test]
    fn what_glusterfs_cannot_read_is_not_written() {
        let value = |value: &str| {
            let mut volfile = Volfile::new();
            volfile.volume("a", "x/y").option("k", value);
            volfile.render().unwrap_err().to_string()
        };
        assert_eq!(value(""), "volume `a`: an empty word cannot be written in a volfile");
        assert_eq!(value("a\nb"), "volume `a`: a newline cannot be written in a volfile");
        assert_eq!(value("a\0b"), "volume `a`: a zero byte cannot be written in a volfile");
        assert_eq!(value("`id`"), "volume `a`: a backtick cannot be written in a volfile");
        let mut bare = Volfile::new();
        bare.volume("a", "x/y");
        assert_eq!(bare.render(), Err(RenderError::Bare { volume: "a".to_owned() }));
        assert_eq!(Volfile::new().render(), Err(RenderError::Empty));
    }

    #[test]
    fn redacted_has_no_secret() {
        let mut volfile = Volfile::new();
        volfile
            .volume("a", "x/y")
            .option("username", "hush")
            .option("auth.login.hush.password", "hush")
            .option("k", "v");
        let text = volfile.redacted().to_string();
        assert!(!text.contains("hush"), "{text}");
        assert!(text.contains("option username (secret)") && text.contains("option k v"), "{text}");
    }

    #[test]
    fn canonical_bytes_know_no_layout_order_or_credentials() {
        let read = |text: &str| {
            let volfile = Volfile::parse(text).unwrap();
            Graph::new(&volfile).unwrap().canonical_bytes()
        };
        let one = read(
            "volume a type x/y option k 1 option l 2 end-volume volume b type x/y option k 1 end-volume \
             volume t type x/y subvolumes a b end-volume",
        );
        let other = read(
            "# c\nvolume b type x/y option k 1 option password p end-volume volume a type x/y option l 0 option k 1 \
             option l 2 end-volume\nvolume lost type x/y option k v end-volume volume t type x/y subvolumes a b end-volume",
        );
        assert_eq!(one.as_bstr(), other.as_bstr());
    }
}
