//! The grammar of a volfile (facts §10.3):
//!
//! ```text
//! volfile := volume+
//! volume  := "volume" NAME "type" TYPE body "end-volume"
//! body    := option+ | option* "subvolumes" NAME+ option*
//! option  := "option" KEY VALUE
//! ```

use std::borrow::Cow;

use bstr::{BStr, ByteSlice};
use nom::Parser;
use nom::combinator::cut;
use nom::error::context;

use super::error::{Error, Fail, MAX_SIZE, SyntaxError};
use super::lex::{self, Keyword, Result as Parsed, Token};
use super::text::Volfile;

impl<'a> Volfile<'a> {
    /// Reads the text of a volfile exactly as glusterfs does.
    ///
    /// What comes back is the grammar's meaning only: [`Graph`](super::Graph) resolves the names, and
    /// [`Graph::problems`](super::Graph::problems) tells what is wrong with them.
    ///
    /// # Errors
    /// The first place where the text leaves the grammar, or that it is empty or too large. Stricter than
    /// glusterfs in one point: a string without its closing quote at the very end of the text, which
    /// glusterfs ignores, to misread the next volfile it is given.
    pub fn parse<T: AsRef<[u8]> + ?Sized>(text: &'a T) -> Result<Self, Error> {
        let text = text.as_ref();
        if text.len() > MAX_SIZE {
            return Err(Error::TooLarge { size: text.len() });
        }
        let mut volfile = Self::of(text.as_bstr());
        let mut rest = lex::gap(text);
        while !rest.is_empty() {
            let before = volfile.len();
            rest = match volume(&mut volfile, rest) {
                Ok((rest, ())) => lex::gap(rest),
                Err(nom::Err::Error(fail) | nom::Err::Failure(fail)) => {
                    let open = volfile.sections().nth(before).map(|section| section.name());
                    return Err(SyntaxError::new(text, &fail, open).into());
                }
                Err(nom::Err::Incomplete(_)) => unreachable!("only parsers of complete input are used"),
            };
        }
        if volfile.is_empty() { Err(Error::Empty) } else { Ok(volfile) }
    }
}

fn volume<'a>(volfile: &mut Volfile<'a>, text: &'a [u8]) -> Parsed<'a, ()> {
    let (rest, ()) = context("`volume`", keyword(Keyword::Volume)).parse(text)?;
    let (rest, name) = cut(word("a name for the volume")).parse(rest)?;
    volfile.open(name, text);
    let (rest, ()) = context("`type`", keyword(Keyword::Type)).parse(rest)?;
    let (rest, xlator_type) = cut(word("a type such as `cluster/replicate`")).parse(rest)?;
    volfile.set_type(xlator_type);

    let (rest, some) = options(volfile, rest)?;
    match keyword(Keyword::Subvolumes).parse(rest) {
        Ok((rest, ())) => {
            let (rest, ()) = subvolumes(volfile, rest)?;
            let (rest, _) = options(volfile, rest)?;
            context("`option` or `end-volume`", keyword(Keyword::EndVolume)).parse(rest)
        }
        Err(_) if some => {
            context("`option`, `subvolumes` or `end-volume`", keyword(Keyword::EndVolume)).parse(rest)
        }
        Err(_) => Err(nom::Err::Error(Fail { at: lex::gap(rest), expected: "`option` or `subvolumes`" })),
    }
}

/// Any number of options; the flag tells whether there was one.
fn options<'a>(volfile: &mut Volfile<'a>, mut text: &'a [u8]) -> Parsed<'a, bool> {
    let mut some = false;
    while let Ok((rest, ())) = keyword(Keyword::Option).parse(text) {
        let at = lex::gap(rest);
        let (rest, key) = cut(argument("the key of an option")).parse(rest)?;
        let (rest, value) = cut(argument("the value of the option")).parse(rest)?;
        volfile.push_option(key, value, at);
        (text, some) = (rest, true);
    }
    Ok((text, some))
}

/// The names behind `subvolumes`, at least one.
fn subvolumes<'a>(volfile: &mut Volfile<'a>, text: &'a [u8]) -> Parsed<'a, ()> {
    let (mut rest, first) = cut(argument("the name of a subvolume")).parse(text)?;
    volfile.push_subvolume(first, lex::gap(text));
    loop {
        match lex::token(rest)? {
            (after, Token::Word(name)) => {
                volfile.push_subvolume(Some(name), lex::gap(rest));
                rest = after;
            }
            (after, Token::Nothing) => {
                volfile.push_subvolume(None, lex::gap(rest));
                rest = after;
            }
            (_, Token::Keyword(_) | Token::End) => return Ok((rest, ())),
        }
    }
}

/// One keyword. Its failure is an ordinary one: another keyword may fit.
fn keyword<'a>(wanted: Keyword) -> impl Parser<&'a [u8], Output = (), Error = Fail<'a>> {
    move |text| {
        let text = lex::gap(text);
        let rest = wanted.strip_from(text).ok_or(nom::Err::Error(Fail { at: text, expected: "" }))?;
        Ok((rest, ()))
    }
}

/// A word that is no keyword, or `None` for `""`.
fn argument<'a>(
    expected: &'static str,
) -> impl Parser<&'a [u8], Output = Option<Cow<'a, BStr>>, Error = Fail<'a>> {
    move |text| match lex::token(text)? {
        (rest, Token::Word(word)) => Ok((rest, Some(word))),
        (rest, Token::Nothing) => Ok((rest, None)),
        (_, Token::Keyword(_) | Token::End) => Err(nom::Err::Error(Fail { at: lex::gap(text), expected })),
    }
}

/// A word where `""` will not do.
fn word<'a>(expected: &'static str) -> impl Parser<&'a [u8], Output = Cow<'a, BStr>, Error = Fail<'a>> {
    move |text| match argument(expected).parse(text)? {
        (rest, Some(word)) => Ok((rest, word)),
        (_, None) => Err(nom::Err::Error(Fail { at: lex::gap(text), expected })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Volfile::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn reads_sections_options_and_subvolumes_in_their_order() {
        let text = "volume a type x/y option k v option k \"w w\" end-volume\n\
                    volume b type z/z subvolumes a a option l 1 end-volume";
        let volfile = Volfile::parse(text).unwrap();
        let [a, b] = &volfile.sections().collect::<Vec<_>>()[..] else { panic!("two volumes") };
        assert_eq!((a.name(), a.xlator_type(), a.line()), (b"a".as_bstr(), b"x/y".as_bstr(), 1));
        assert_eq!(a.options().iter().map(|o| &*o.value).collect::<Vec<_>>(), ["v", "w w"]);
        assert_eq!(a.option("k"), Some("w w".into()));
        assert_eq!((b.line(), b.option("l")), (2, Some("1".into())));
        assert_eq!(b.subvolumes().map(|name| name.to_string()).collect::<Vec<_>>(), ["a", "a"]);
    }

    #[test]
    fn says_where_what_was_expected_and_what_was_found() {
        assert_eq!(error(" # nothing"), "the volfile is empty: it defines no volume");
        assert_eq!(error("hello"), "line 1, column 1: expected `volume`, found `hello`");
        assert_eq!(
            error("volume a\n  type x/y\n  option key end-volume"),
            "line 3, column 14: expected the value of the option, found `end-volume` (in volume `a`)"
        );
        assert_eq!(
            error("volume a type x/y end-volume"),
            "line 1, column 19: expected `option` or `subvolumes`, found `end-volume` (in volume `a`)"
        );
        assert_eq!(
            error("volume a type x/y option k v volume b"),
            "line 1, column 30: expected `option`, `subvolumes` or `end-volume`, found `volume` (in volume `a`)"
        );
        assert_eq!(
            error("volume a option k v end-volume"),
            "line 1, column 10: expected `type`, found `option` (in volume `a`)"
        );
        assert_eq!(
            error("volume a type x/y subvolumes b subvolumes c end-volume"),
            "line 1, column 32: expected `option` or `end-volume`, found `subvolumes` (in volume `a`)"
        );
        assert_eq!(
            error("volume a type x/y option k \"v\nend-volume"),
            "line 1, column 28: expected a string with its closing quote, found a string that never ends (in volume `a`)"
        );
        assert_eq!(
            error("volume \"\""),
            "line 1, column 8: expected a name for the volume, found the empty string `\"\"`"
        );
        assert_eq!(
            error("volume a type x/y"),
            "line 1, column 18: expected `option` or `subvolumes`, found the end of the file (in volume `a`)"
        );
    }

    #[test]
    fn more_than_the_limit_is_not_even_looked_at() {
        let text = vec![b' '; MAX_SIZE + 1];
        assert_eq!(Volfile::parse(&text), Err(Error::TooLarge { size: MAX_SIZE + 1 }));
    }
}
