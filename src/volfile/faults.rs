use super::{Graph, Severity, Volfile};

/// Why no glusterfs may be given this volfile, a sentence each; none for one that loads as it was meant.
pub fn faults(text: &[u8]) -> Vec<String> {
    let volfile = match Volfile::parse(text) {
        Ok(volfile) => volfile,
        Err(error) => return vec![error.to_string()],
    };
    let Some(graph) = Graph::new(&volfile) else { return vec!["no volume in it".to_owned()] };
    let problems = graph.problems();
    problems.iter().filter(|p| p.severity() == Severity::Error).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::faults;

    #[test]
    fn each_fault_is_a_sentence_with_its_line() {
        assert!(faults(b"volume a\n type t/t\n option x 1\nend-volume\n").is_empty());
        assert!(faults(b"volume a\n type t/t\n").first().is_some_and(|fault| fault.contains("line 3")));
        let two = faults(b"volume a\n type t/t\n subvolumes b `c`\nend-volume\n");
        assert!(two.len() >= 2 && two.iter().all(|fault| fault.starts_with("line ")), "{two:?}");
    }

    #[test]
    fn no_fault_tells_a_secret() {
        let extra =
            faults(b"volume a\n type t/t\n option password hunter2 extrasecret\nend-volume\n").concat();
        assert!(extra.contains("found another word") && !extra.contains("secret"), "{extra}");
        let twice = "volume a\n type t/t\n option auth.login.bob.password 1\n option auth.login.bob.password 2\nend-volume\n";
        let volfile = super::Volfile::parse(twice).unwrap();
        let problems = super::Graph::new(&volfile).unwrap().problems();
        assert!(problems.len() == 1 && !problems[0].to_string().contains("bob"), "{problems:?}");
    }
}
