//! Every recorded compression vector of stock borg, and more cases with the verdict stock gave.

use std::collections::HashMap;
use std::convert::Infallible;

use proptest::prelude::*;
use serde::Deserialize;
use worldkeeper_compress::{Algorithm, Compressor, DecompressError, Decompressor, fuzz_decompress};
use worldkeeper_testkit::fixtures;

const LIMIT: usize = 1 << 20;

#[derive(Deserialize)]
struct Vectors {
    inputs_hex: HashMap<String, String>,
    cases: Vec<Case>,
    obfuscate: Vec<Case>,
    edge_cases: Vec<EdgeCase>,
}

#[derive(Deserialize)]
struct Case {
    spec: String,
    input: String,
    stored_hex: String,
    detected: Option<String>,
}

#[derive(Deserialize)]
struct EdgeCase {
    case: String,
    stored_hex: String,
    borg_result: String,
}

fn vectors() -> Vectors {
    fixtures::json("vectors/compression.json")
}

impl Vectors {
    fn input(&self, name: &str) -> Vec<u8> {
        hex::decode(&self.inputs_hex[name]).unwrap()
    }
}

fn compress(spec: &str, data: &[u8]) -> Vec<u8> {
    compress_with(spec, data, |bytes| bytes.fill(0x5a))
}

/// Compresses with these random bytes.
fn compress_with(spec: &str, data: &[u8], mut random: impl FnMut(&mut [u8])) -> Vec<u8> {
    let mut out = Vec::new();
    let random = |bytes: &mut [u8]| {
        random(bytes);
        Ok::<_, Infallible>(())
    };
    let Ok(()) = Compressor::new(spec.parse().unwrap(), random).compress(data, &mut out);
    out
}

fn decompress(payload: &[u8]) -> Result<Vec<u8>, DecompressError> {
    Decompressor::new().decompress(payload, None, LIMIT)
}

#[test]
fn what_stock_stored_is_read() {
    let vectors = vectors();
    assert_eq!((vectors.cases.len(), vectors.obfuscate.len()), (90, 10));
    let mut decompressor = Decompressor::new();
    let mut out = Vec::new();
    for case in vectors.cases.iter().chain(&vectors.obfuscate) {
        let data = vectors.input(&case.input);
        let stored = hex::decode(&case.stored_hex).unwrap();
        let detected = case.detected.as_deref().unwrap_or("obfuscate");
        assert_eq!(Algorithm::detect(&stored).unwrap().to_string(), detected);
        // One decompressor and one buffer for all, with a right hint, wrong ones, and none.
        for hint in [Some(data.len()), None, Some(0), Some(100_000), Some(usize::MAX)] {
            decompressor.decompress_into(&stored, &mut out, hint, LIMIT).unwrap();
            assert_eq!(out, data, "{} of {} with hint {hint:?}", case.spec, case.input);
        }
        // The data fits exactly, and not into one byte less.
        assert_eq!(decompressor.decompress(&stored, None, data.len()).unwrap(), data);
        if let Some(less) = data.len().checked_sub(1) {
            let error = decompressor.decompress(&stored, Some(data.len()), less).unwrap_err();
            assert!(matches!(error, DecompressError::TooLarge { limit, .. } if limit == less), "{error}");
        }
    }
}

#[test]
fn what_we_store_has_stocks_form() {
    let vectors = vectors();
    for case in &vectors.cases {
        let data = vectors.input(&case.input);
        let mut payload = b"envelope".to_vec();
        let mut compressor = Compressor::new(case.spec.parse().unwrap(), |_: &mut [u8]| Err("nobody needs it"));
        // Twice, to see that nothing of the first stays behind.
        compressor.compress(&data, &mut payload).unwrap();
        payload.truncate(b"envelope".len());
        compressor.compress(&data, &mut payload).unwrap();
        let payload = payload.strip_prefix(b"envelope").unwrap();

        let name = format!("{} of {}", case.spec, case.input);
        assert_eq!(Algorithm::detect(payload).map(|found| found.to_string()), case.detected, "{name}");
        assert_eq!(decompress(payload).unwrap(), data, "{name}");
        if case.detected.as_deref() == Some("none") {
            assert_eq!(hex::encode(payload), case.stored_hex, "{name}");
        }
    }
}

#[test]
fn auto_decides_as_stock() {
    /// Checks what each `auto` stores, as borg 1.4.5 was seen to do.
    #[track_caller]
    fn stores(data: &[u8], expected: [&str; 6]) {
        let specs = ["auto,zstd,3", "auto,zlib,6", "auto,lzma,6", "auto,zlib,0", "auto,none", "auto,lz4"];
        assert_eq!(specs.map(|spec| Algorithm::detect(&compress(spec, data)).unwrap().to_string()), expected);
    }
    const LZ4: [&str; 6] = ["lz4"; 6];
    const BETTER: [&str; 6] = ["zstd", "zlib", "lzma", "lz4", "lz4", "lz4"];
    let noise = fixtures::sha_stream("auto", 98_000);
    // Bytes in which lz4 finds nothing, and the others a quarter.
    let text: Vec<u8> = noise.iter().map(|byte| byte & 63).collect();
    let with_run = |data: &[u8], run: usize| [data, &vec![0; run]].concat();

    stores(&text, ["none"; 6]);
    stores(&with_run(&text, 2_000), LZ4); // lz4 comes to 0.985
    stores(&with_run(&text[..95_000], 5_000), BETTER); // lz4 comes to 0.955
    stores(&with_run(&noise[..95_000], 5_000), LZ4); // and the others save less than 1 % more
    stores(&vec![0; 100_000], BETTER);

    // Borg's limit to the byte: 194 of 200 is 0.97, and so much is not worth it. Without the headers, 225 of 232 were.
    for (len, run, lz4, expected) in
        [(178, 20, 194, "lz4"), (178, 21, 194, "zstd"), (210, 22, 227, "lz4"), (210, 23, 227, "zstd")]
    {
        let data = with_run(&text[..len], run);
        assert_eq!(compress("lz4", &data).len(), lz4);
        assert_eq!(Algorithm::detect(&compress("auto,zstd,3", &data)).unwrap().to_string(), expected);
    }
}

#[test]
fn obfuscated_as_by_stock() {
    let vectors = vectors();
    for case in &vectors.obfuscate {
        let data = vectors.input(&case.input);
        let stored = hex::decode(&case.stored_hex).unwrap();
        let inner_of = |payload: &[u8]| {
            let (header, padded) = payload.split_first_chunk::<6>().unwrap();
            assert_eq!(header[..2], [4, 0], "{} of {}", case.spec, case.input);
            let size = u32::from_be_bytes(header[2..].try_into().unwrap()) as usize;
            let (inner, padding) = padded.split_at(size);
            assert!(padding.iter().all(|&byte| byte == 0), "{} of {}", case.spec, case.input);
            (inner.to_vec(), padding.len())
        };
        let ours = compress(&case.spec, &data);
        let ((inner, padding), (stock_inner, stock_padding)) = (inner_of(&ours), inner_of(&stored));
        assert_eq!(Algorithm::detect(&inner), Algorithm::detect(&stock_inner), "{} of {}", case.spec, case.input);
        assert_eq!(decompress(&ours).unwrap(), data);
        if case.spec.starts_with("obfuscate,250,") && inner.len() == stock_inner.len() {
            assert_eq!(padding, stock_padding, "{} of {}", case.spec, case.input);
        }
    }
}

#[test]
fn the_random_bytes_decide_the_padding() {
    let payload = |spec, byte: u8| compress_with(spec, b"x", |bytes| bytes.fill(byte)).len();
    // Header, length, inner payload, padding.
    assert_eq!(payload("obfuscate,110,none", 0), 2 + 4 + 3);
    assert_eq!(payload("obfuscate,110,none", 0x80), 2 + 4 + 3 + 514);
    assert_eq!(payload("obfuscate,110,none", 0xff), 2 + 4 + 3 + 1023);
    assert_eq!(payload("obfuscate,3,none", 0xff), 2 + 4 + 3 + 3);
    assert_eq!(payload("obfuscate,3,none", 0), 2 + 4 + 3 + 30_000);
}

#[test]
fn no_randomness_no_payload() {
    let compress = |spec: &str| {
        Compressor::new(spec.parse().unwrap(), |_: &mut [u8]| Err("broken")).compress(b"data", &mut Vec::new())
    };
    assert_eq!(compress("obfuscate,1,lz4"), Err("broken"));
    assert_eq!(compress("obfuscate,123,auto,zstd,3"), Err("broken"));
    assert_eq!(compress("obfuscate,250,lz4"), Ok(()));
    assert_eq!(compress("auto,zstd,3"), Ok(()));
}

#[test]
fn stocks_verdict_on_edge_cases() {
    let cases = vectors().edge_cases;
    assert_eq!(cases.len(), 12);
    for EdgeCase { case, stored_hex, borg_result } in cases {
        let result = decompress(&hex::decode(stored_hex).unwrap());
        match borg_result.strip_prefix("accepted, ").and_then(|rest| rest.strip_suffix(" bytes")) {
            Some(size) => assert_eq!(result.unwrap().len(), size.parse::<usize>().unwrap(), "{case}"),
            None if borg_result.starts_with("ValueError: ('No decompressor") => {
                assert!(matches!(result, Err(DecompressError::UnknownHeader(_))), "{case}");
            }
            None => {
                assert!(borg_result.starts_with("DecompressionError"), "{borg_result}");
                assert!(matches!(result, Err(DecompressError::Damaged { .. })), "{case}");
            }
        }
    }
}

/// Checks that a payload gives `size` bytes, or for `None` is refused, as borg 1.4.5 was seen to do.
#[track_caller]
fn verdict(payload: &[&[u8]], size: Option<usize>) {
    assert_eq!(decompress(&payload.concat()).ok().map(|data| data.len()), size);
}

#[test]
fn stocks_verdict_on_what_follows_or_is_missing() {
    let data = b"hello world, ".repeat(50);
    let size = Some(data.len());

    let zlib = compress("zlib", &data);
    verdict(&[&zlib, b"abc"], size);
    verdict(&[&zlib[..zlib.len() - 1]], None);
    verdict(&[&zlib[..zlib.len() - 1], &[!zlib[zlib.len() - 1]]], None);
    verdict(&[&zlib[..2]], None);
    verdict(&[&[0x58, 0x85], &zlib[2..]], size);
    verdict(&[&[0x78, 0xbb], &zlib[2..]], None); // wants a dictionary

    let lzma = compress("lzma", &data);
    verdict(&[&lzma, b"abc"], size);
    verdict(&[&lzma, &lzma[2..]], size.map(|size| 2 * size));
    verdict(&[&lzma, &lzma[2..lzma.len() - 3]], None);
    verdict(&[&lzma, &[0; 8]], None);
    verdict(&[&lzma[..lzma.len() - 1]], None);
    verdict(&[&[2, 0]], None);

    let lz4 = compress("lz4", &data);
    verdict(&[&lz4, &[0]], None);
    verdict(&[&lz4[..lz4.len() - 1]], None);
    verdict(&[&[1, 0]], None);
    verdict(&[&[1, 0, 0]], Some(0));

    let zstd = compress("zstd", &data);
    let skippable: &[u8] = b"\x50\x2a\x4d\x18\x04\0\0\0abcd";
    verdict(&[&zstd, b"a"], None);
    verdict(&[&zstd[..zstd.len() - 1]], None);
    verdict(&[&[3, 0]], None);
    verdict(&[&[3, 0], skippable], Some(0));
    verdict(&[&zstd, skippable], size);
    verdict(&[&[3, 0], skippable, &zstd[2..]], None);
    verdict(&[&zstd, b"\x28\xb5\x2f\xfd\x20\x00\x01\x00\x00"], size); // an empty frame behind

    verdict(&[&[]], None);
    verdict(&[&[0]], None);
    verdict(&[&[0, 1], b"abc"], None);
    verdict(&[&[1, 1], b"abc"], None);

    verdict(&[&[4, 0], &[0, 0, 0, 9], &[4, 0], &[0, 0, 0, 3], &[0, 0], b"x"], Some(1));
    verdict(&[&[4, 0], &[0, 0, 0, 2], &[0, 0]], Some(0));
    verdict(&[&[4, 0], &[0, 0, 0, 0]], None);
    verdict(&[&[4, 0], &[0]], None);
}

#[test]
fn an_obfuscated_payload_that_is_cut_off_is_refused() {
    // Stock takes what there is of it and leaves it to the id to notice.
    verdict(&[&[4, 0], &[0, 0, 0, 4], &[0, 0], b"x"], None);
}

#[test]
fn data_without_compression_is_not_copied() {
    let payload = compress("none", b"abc");
    assert_eq!(Decompressor::uncompressed(&payload), Some(&b"abc"[..]));
    assert_eq!(Decompressor::uncompressed(&compress("zlib", b"abc")), None);
    assert_eq!(Decompressor::uncompressed(&[0]), None);
}

#[test]
fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 16 << 20];
    for spec in ["lz4", "zstd,1", "zlib,1", "lzma,0"] {
        let mut out = Vec::new();
        let error = Decompressor::new().decompress_into(&compress(spec, &zeros), &mut out, None, LIMIT).unwrap_err();
        assert!(matches!(error, DecompressError::TooLarge { limit: LIMIT, .. }), "{spec}: {error}");
        assert!(out.is_empty() && out.capacity() <= 2 * LIMIT, "{spec}: {} bytes", out.capacity());
    }
}

#[test]
fn every_level_gives_the_data_back() {
    let data: Vec<u8> = (0..40_000).flat_map(|n: u32| format!("{n} ").into_bytes()).collect();
    let zstd = (1..=22).map(|level| format!("zstd,{level}"));
    let others = (0..=9).flat_map(|level| [format!("zlib,{level}"), format!("lzma,{level}")]);
    for spec in zstd.chain(others) {
        let payload = compress(&spec, &data);
        assert_eq!(decompress(&payload).unwrap(), data, "{spec}");
        assert!(spec == "zlib,0" || payload.len() < data.len(), "{spec}: {} bytes", payload.len());
    }
}

#[test]
fn chunks_of_the_largest_size() {
    let noise = fixtures::sha_stream("compress", 8 << 20);
    let mut decompressor = Decompressor::new();
    for spec in ["lz4", "zstd,3", "zlib,1", "lzma,0"] {
        let payload = compress(spec, &noise);
        assert_eq!(decompressor.decompress(&payload, Some(noise.len()), noise.len()).unwrap(), noise, "{spec}");
        // What cannot be made smaller is stored as it is, but for zlib.
        assert_eq!(Decompressor::uncompressed(&payload).is_some(), spec != "zlib,1", "{spec}");
        assert!(payload.len() < noise.len() + noise.len() / 1000, "{spec}: {} bytes", payload.len());
    }
}

/// Data that compresses in part: runs, repetitions and noise.
fn chunk() -> impl Strategy<Value = Vec<u8>> {
    let run = (any::<u8>(), 0_usize..3000).prop_map(|(byte, len)| vec![byte; len]);
    let noise = prop::collection::vec(any::<u8>(), 0..600);
    let pattern = (prop::collection::vec(any::<u8>(), 1..20), 1_usize..100).prop_map(|(unit, n)| unit.repeat(n));
    prop::collection::vec(prop_oneof![run, noise, pattern], 0..6).prop_map(|parts| parts.concat())
}

/// Texts of every compression, as a pattern.
const SPECS: &str =
    "(obfuscate,([1-3]|11[0-3]|250),)?(none|lz4|(auto,)?(none|lz4|zstd,(1|3|19)|zlib,(0|6|9)|lzma,(0|6)))";

proptest! {
    #[test]
    fn any_data_comes_back(data in chunk(), spec in SPECS, seed: [u8; 8]) {
        let payload = compress_with(&spec, &data, |bytes| bytes.copy_from_slice(&seed));
        prop_assert_eq!(decompress(&payload).unwrap(), data);
    }

    #[test]
    fn any_bytes(header in 0_u8..5, body in prop::collection::vec(any::<u8>(), 0..200)) {
        fuzz_decompress(&body);
        fuzz_decompress(&[&[header, 0], &body[..]].concat());
    }

    #[test]
    fn any_damage(data in chunk(), spec in "lz4|zstd,3|zlib,6|lzma,0", at: prop::sample::Index, to: u8, cut: bool) {
        let mut payload = compress(&spec, &data);
        let at = at.index(payload.len());
        payload[at] = to;
        if cut {
            payload.truncate(at);
        }
        fuzz_decompress(&payload);
    }
}
