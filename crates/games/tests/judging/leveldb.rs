//! The files that a LevelDB database hangs on.

use crate::judged;

#[test]
fn current_names_a_manifest() {
    for good in ["MANIFEST-000001\n", "MANIFEST-1234567\n"] {
        assert_eq!(judged("worlds/Bedrock level/db/CURRENT", good.as_bytes()), "", "{good}");
    }
    let long = format!("MANIFEST-{}\n", "0".repeat(100));
    for bad in ["MANIFEST-000001", "MANIFEST-1\n", "MANIFEST-000001\n\n", "MANIFEST-00000x\n", "000001\n", &long] {
        assert_eq!(judged("db/CURRENT", bad.as_bytes()), "it names no manifest", "{bad}");
    }
    assert_eq!(judged("db/CURRENT", &[]), "it is empty");
    assert_eq!(judged("db/CURRENT", &[0; 16]), "it holds nothing but zeros, 16 bytes of them");
}

#[test]
fn a_manifest_holds_something() {
    assert_eq!(judged("db/MANIFEST-000007", b"\x56\xf9\xb8\xf8\x1c\0\x01"), "");
    assert_eq!(judged("db/MANIFEST-000007", &[]), "it is empty");
    assert_eq!(judged("db/MANIFEST-000007", &[0; 4096]), "it holds nothing but zeros, 4096 bytes of them");
}

#[test]
fn only_in_its_folder() {
    assert_eq!(judged("CURRENT", &[]), "-");
    assert_eq!(judged("other/CURRENT", b"now"), "-");
    assert_eq!(judged("db/MANIFEST", &[]), "-");
    assert_eq!(judged("db/000005.ldb", &[]), "-");
}
