//! What kubectl takes plain words for: it reads YAML 1.1 (sigs.k8s.io/yaml), where numbers and switches have more spellings.

/// The value that kubectl takes a plain word for, as JSON writes it; none where that is just the word. Dates and sexagesimal
/// numbers are words to kubectl, whatever YAML 1.1 says of them.
pub(super) fn taken_for(word: &str) -> Option<String> {
    let value = match word {
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "True" | "TRUE" => "true".to_owned(),
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "False" | "FALSE" => "false".to_owned(),
        _ => number(word)?,
    };
    (value != word).then_some(value)
}

fn number(word: &str) -> Option<String> {
    // Between digits they are for people.
    let digits = if word.starts_with('.') { word.to_owned() } else { word.replace('_', "") };
    let numeric = |letter: char| letter.is_ascii_digit() || "+-.".contains(letter);
    if !word.starts_with(numeric) {
        return None;
    }
    if let Some(integer) = integer(&digits) {
        return Some(integer.to_string());
    }
    // Not what else Rust takes for one, such as `inf`.
    let decimal = digits.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = digits.parse::<f64>().ok().filter(|number| decimal && number.is_finite())?;
    Some(number.to_string())
}

/// As Go's `strconv.ParseInt` reads it with base 0, where 64 bits are enough.
fn integer(digits: &str) -> Option<i128> {
    let (negative, digits) = match digits.strip_prefix(['+', '-']) {
        Some(rest) => (digits.starts_with('-'), rest),
        None => (false, digits),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from_str_radix(digits, radix).ok()?;
    let number = if negative { -number } else { number };
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::taken_for;

    /// By kubectl 1.37.1: `kubectl annotate --local -o json` of a file with these words.
    #[test]
    fn as_kubectl_does() {
        for (word, value) in [
            ("024007", "10247"),
            ("1e3", "1000"),
            ("yes", "true"),
            ("y", "true"),
            ("n", "false"),
            ("0x5dc7", "24007"),
            ("1_000", "1000"),
            ("08", "8"),
            ("0o17", "15"),
            ("0b11", "3"),
            (".5", "0.5"),
            ("1_0.5", "10.5"),
            ("+12", "12"),
            ("123456789012345678901", "123456789012345680000"),
            ("1.", "1"),
            ("-017", "-15"),
        ] {
            assert_eq!(taken_for(word).as_deref(), Some(value), "{word}");
        }
        for word in
            ["1:30", "2001-01-01", "190:20:30", "._5", "0x1.8p1", "12", "-", "_", "0x", "inf", "1e999", "g1"]
        {
            assert_eq!(taken_for(word), None, "{word}");
        }
    }
}
