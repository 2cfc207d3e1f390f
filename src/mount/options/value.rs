//! What an option's value may be.

/// A kind of value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// `on` or `off`; without a value, `on`.
    Switch,
    /// The same, or `auto`.
    SwitchOrAuto,
    /// From the first to the second.
    Number(i64, i64),
    /// Of two, at least 1.
    PowerOfTwo,
    /// Seconds, with a fraction.
    Seconds,
    /// One of these, in this spelling; others' case does not matter.
    Words(&'static [&'static str]),
    /// How glusterfs reaches bricks: what its volfile says, so nothing but TCP makes sense.
    Transport,
}

/// A boolean as Gluster reads it.
pub(super) fn switch(value: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| value.eq_ignore_ascii_case(word));
    if is(&["1", "on", "yes", "true", "enable"]) {
        Some(true)
    } else if is(&["0", "off", "no", "false", "disable"]) {
        Some(false)
    } else {
        None
    }
}

impl Kind {
    /// The value in its one spelling, which says the same to every release of glusterfs; otherwise what is allowed.
    pub(super) fn check(self, value: Option<&str>) -> Result<String, String> {
        let on = |on: bool| if on { "on" } else { "off" }.to_owned();
        let checked = match (self, value) {
            (Self::Switch | Self::SwitchOrAuto, None) => Some(on(true)),
            (_, None) => None,
            (Self::Switch, Some(value)) => switch(value).map(on),
            (Self::SwitchOrAuto, Some(value)) if value.eq_ignore_ascii_case("auto") => {
                Some("auto".to_owned())
            }
            (Self::SwitchOrAuto, Some(value)) => switch(value).map(on),
            (Self::Number(low, high), Some(value)) => value
                .parse()
                .ok()
                .filter(|number| (low..=high).contains(number))
                .map(|number: i64| number.to_string()),
            (Self::PowerOfTwo, Some(value)) => value
                .parse()
                .ok()
                .filter(|number: &u32| number.is_power_of_two())
                .map(|number| number.to_string()),
            (Self::Seconds, Some(value)) => seconds(value),
            (Self::Words(words), Some(value)) => {
                words.iter().find(|word| value.eq_ignore_ascii_case(word)).map(|&word| word.to_owned())
            }
            (Self::Transport, Some(value)) => ["tcp", "socket"].contains(&value).then(|| "tcp".to_owned()),
        };
        checked.ok_or_else(|| self.allowed())
    }

    /// In words.
    pub(super) fn allowed(self) -> String {
        match self {
            Self::Switch => "on or off".to_owned(),
            Self::SwitchOrAuto => "on, off or auto".to_owned(),
            Self::Number(low, high) => format!("a number from {low} to {high}"),
            Self::PowerOfTwo => "a power of two".to_owned(),
            Self::Seconds => format!("seconds from 0 to {MAX_SECONDS}, such as 1 or 0.5"),
            Self::Words(words) => format!("one of {}", words.join(", ")),
            Self::Transport => "tcp".to_owned(),
        }
    }
}

/// The kernel counts them in 64 bits; ten years are for ever.
const MAX_SECONDS: f64 = 315_360_000.0;

/// Digits and a point only: glusterfs takes "abc", "nan" and "1e3" too, and means something.
fn seconds(value: &str) -> Option<String> {
    let plain = !value.is_empty()
        && value.len() <= 20
        && value.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let number: f64 = value.parse().ok().filter(|_| plain)?;
    (number <= MAX_SECONDS).then(|| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_one_spelling() {
        for (kind, value, spelling) in [
            (Kind::Switch, None, Some("on")),
            (Kind::Switch, Some("Disable"), Some("off")),
            (Kind::SwitchOrAuto, Some("AUTO"), Some("auto")),
            (Kind::Switch, Some("auto"), None),
            (Kind::Number(-10, 10), Some("-7"), Some("-7")),
            (Kind::Number(1, 64), Some("065"), None),
            (Kind::Number(1, 64), Some("064"), Some("64")),
            (Kind::Number(1, 64), None, None),
            (Kind::PowerOfTwo, Some("65536"), Some("65536")),
            (Kind::PowerOfTwo, Some("65535"), None),
            (Kind::Seconds, Some("01.50"), Some("1.5")),
            (Kind::Seconds, Some("600"), Some("600")),
            (Kind::Seconds, Some("1e3"), None),
            (Kind::Seconds, Some("-1"), None),
            (Kind::Seconds, Some("nan"), None),
            (Kind::Seconds, Some("."), None),
            (Kind::Words(&["DEBUG"]), Some("debug"), Some("DEBUG")),
            (Kind::Transport, Some("rdma"), None),
        ] {
            assert_eq!(kind.check(value).ok().as_deref(), spelling, "{kind:?} {value:?}");
        }
        assert_eq!(Kind::Number(1, 64).check(Some("x")), Err("a number from 1 to 64".to_owned()));
    }
}
