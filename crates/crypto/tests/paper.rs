//! Keys on paper as stock borg recorded them: `vectors/crypto.json` and `vectors/repos/*.json`.

use serde_json::Value;
use worldkeeper_crypto::{KeyFile, PaperKey, PaperReader};
use worldkeeper_testkit::fixtures;

#[test]
fn papers_are_written_and_read_as_recorded() {
    let vectors: Value = fixtures::json("vectors/crypto.json");
    let paper = &vectors["paper_key"];
    let blob = paper["of_key_blob"].as_u64().expect("a number") as usize;
    is_written_and_read(&vectors["key_blobs"][blob]["keyfile_text"], &paper["text"]);
    for recording in ["repokey-blake2-borg1.2.4", "repokey-blake2-borg1.4.5"] {
        let repository: Value = fixtures::json(&format!("vectors/repos/{recording}.json"));
        is_written_and_read(&repository["key_export"], &repository["key_export_paper"]);
    }
}

#[track_caller]
fn is_written_and_read(key_file: &Value, paper: &Value) {
    let (text, paper) = (key_file.as_str().expect("a text"), paper.as_str().expect("a text"));
    let key_file: KeyFile = text.parse().unwrap();
    assert_eq!(key_file.to_string(), text);
    assert_eq!(PaperKey(&key_file).to_string(), paper);
    let mut reader = PaperReader::new(key_file.repository_id);
    let read: Vec<_> = paper.lines().filter_map(|line| reader.line(line).unwrap()).collect();
    assert_eq!(read, [key_file]);
}
