//! Dicts: all that is read lies within what arrived, and is found by its key.
#![no_main]

use glusterd_client::glusterd::Dict;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| match Dict::decode(input) {
    Ok(dict) => {
        let size = dict.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        assert!(size <= input.len());
        for (key, _) in dict.iter() {
            assert!(dict.get(key).is_some());
            dict.number::<i64>(key);
        }
    }
    Err(error) => assert!(error.to_string().starts_with("dict")),
});
