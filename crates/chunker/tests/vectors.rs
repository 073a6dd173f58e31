//! Every recorded chunker vector of stock borg, whole and in pieces.

use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use worldkeeper_chunker::{Chunker, ChunkerParams, Instructions, fuzz_chunker};
use worldkeeper_testkit::fixtures;

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
    fixed: Vec<FixedCase>,
    fixed_sparse_map: Vec<SparseCase>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    params: (String, u32, u32, u32, u32),
    seed: i32,
    input: Vec<Part>,
    input_len: usize,
    input_sha256: String,
    /// Where each chunk ends, from the start of the input.
    cuts: Vec<usize>,
}

#[derive(Deserialize)]
struct FixedCase {
    block_size: u32,
    header_size: u32,
    input: Vec<Part>,
    input_len: usize,
    chunks: Vec<FixedChunk>,
}

#[derive(Deserialize)]
struct FixedChunk {
    size: usize,
    all_zero: bool,
}

#[derive(Deserialize)]
struct SparseCase {
    block_size: u32,
    /// Start, length and whether it is data, of each range.
    map: Vec<(u64, usize, bool)>,
    chunks: Vec<SparseChunk>,
}

#[derive(Deserialize)]
struct SparseChunk {
    size: usize,
    kind: String,
}

/// One part of an input, in the vectors' recipe language.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Named(String, String, usize),
    Counted(String, usize),
}

impl Part {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Named(kind, name, len) if kind == "sha" => fixtures::sha_stream(name, *len),
            Self::Named(kind, unit, len) if kind == "repeat" => {
                hex::decode(unit).unwrap().into_iter().cycle().take(*len).collect()
            }
            Self::Counted(kind, len) if kind == "zeros" => vec![0; *len],
            Self::Counted(kind, last) if kind == "decimal" => {
                (1..=*last).flat_map(|n| format!("{n}\n").into_bytes()).collect()
            }
            Self::Named(kind, ..) | Self::Counted(kind, _) => panic!("unknown input {kind}"),
        }
    }
}

fn input(parts: &[Part], len: usize) -> Vec<u8> {
    let bytes: Vec<u8> = parts.iter().flat_map(Part::bytes).collect();
    assert_eq!(bytes.len(), len);
    bytes
}

fn vectors() -> Vectors {
    fixtures::json("vectors/chunker.json")
}

impl Case {
    fn chunker(&self) -> Chunker {
        let (algorithm, min_exp, max_exp, mask_bits, window) = &self.params;
        assert_eq!(algorithm, "buzhash");
        Chunker::new(&ChunkerParams::buzhash(*min_exp, *max_exp, *mask_bits, *window).unwrap(), self.seed)
    }
}

/// The ends of all chunks, when `step` tells how many bytes come in each time the chunker asks for more.
fn cuts(chunker: &mut Chunker, bytes: &[u8], mut step: impl FnMut() -> usize) -> Vec<usize> {
    let mut cuts = Vec::new();
    let (mut start, mut end) = (0, 0);
    loop {
        match chunker.next_cut(&bytes[start..end], end == bytes.len()) {
            Some(len) => {
                start += len;
                cuts.push(start);
            }
            None if end == bytes.len() => return cuts,
            None => end = bytes.len().min(end + step()),
        }
    }
}

#[test]
fn buzhash_cuts_where_stock_does() {
    let cases = vectors().cases;
    assert_eq!(cases.len(), 43);
    for case in cases {
        let bytes = input(&case.input, case.input_len);
        assert_eq!(hex::encode(Sha256::digest(&bytes)), case.input_sha256, "{}", case.name);
        for instructions in Instructions::ALL.into_iter().filter(|instructions| instructions.are_available()) {
            let name = format!("{} on {instructions}", case.name);
            let mut chunker = case.chunker().with(instructions);
            assert_eq!(cuts(&mut chunker, &bytes, || bytes.len()), case.cuts, "{name} at once");
            // The same chunker again: the end of one stream is the start of the next.
            let mut sizes = [1_000_003, 65_536, 1, 4095, 4096].into_iter().cycle();
            assert_eq!(cuts(&mut chunker, &bytes, || sizes.next().unwrap()), case.cuts, "{name} in pieces");
        }
    }
}

#[test]
fn buzhash_bytes_one_by_one() {
    for case in vectors().cases.iter().filter(|case| case.input_len <= 300_000) {
        let bytes = input(&case.input, case.input_len);
        assert_eq!(cuts(&mut case.chunker(), &bytes, || 1), case.cuts, "{}", case.name);
    }
}

#[test]
fn fixed_cuts_where_stock_does() {
    let cases = vectors().fixed;
    assert_eq!(cases.len(), 5);
    for case in cases {
        let bytes = input(&case.input, case.input_len);
        let params = ChunkerParams::fixed(case.block_size, case.header_size).unwrap();
        let mut chunker = Chunker::new(&params, 0);
        for step in [bytes.len(), 1, 100] {
            let mut start = 0;
            let ends = cuts(&mut chunker, &bytes, || step);
            assert_eq!(ends.len(), case.chunks.len(), "{params}");
            for (&end, chunk) in ends.iter().zip(&case.chunks) {
                assert_eq!(end - start, chunk.size, "{params}");
                assert_eq!(bytes[start..end].iter().all(|&byte| byte == 0), chunk.all_zero, "{params}");
                start = end;
            }
        }
    }
}

/// Recorded of borg 1.4.5: `ChunkerFixed(block, header)` over so many bytes.
#[test]
fn a_header_longer_than_a_block_is_cut_too() {
    for (block, header, len, expected) in [
        (1000, 2500, 4200, &[1000, 2000, 2500, 3500, 4200][..]),
        (1000, 2500, 2200, &[1000, 2000, 2200]),
        (1000, 5000, 5000, &[1000, 2000, 3000, 4000, 5000]),
    ] {
        let mut chunker = Chunker::new(&ChunkerParams::fixed(block, header).unwrap(), 0);
        for step in [len, 1, 333] {
            assert_eq!(cuts(&mut chunker, &vec![1; len], || step), expected, "{block}, {header}");
        }
    }
}

#[test]
fn each_range_of_a_sparse_file_is_cut_as_a_stream_of_its_own() {
    for case in vectors().fixed_sparse_map {
        let mut chunker = Chunker::new(&ChunkerParams::fixed(case.block_size, 0).unwrap(), 0);
        let mut chunks = Vec::new();
        for &(_, len, is_data) in &case.map {
            let mut start = 0;
            for end in cuts(&mut chunker, &vec![0; len], || len) {
                chunks.push((end - start, if is_data { "data" } else { "hole" }));
                start = end;
            }
        }
        let expected: Vec<_> = case.chunks.iter().map(|chunk| (chunk.size, chunk.kind.as_str())).collect();
        assert_eq!(chunks, expected);
    }
}

proptest! {
    #[test]
    fn any_pieces_give_the_same_cuts(steps in prop::collection::vec(1_usize..20_000, 1..50), index in 23_usize..43) {
        let case = &vectors().cases[index];
        let bytes = input(&case.input, case.input_len);
        let mut steps = steps.into_iter().cycle();
        prop_assert_eq!(&cuts(&mut case.chunker(), &bytes, || steps.next().unwrap()), &case.cuts, "{}", case.name);
    }

    #[test]
    fn zeros_need_not_be_looked_at(
        seed in any::<i32>(),
        exps in (6_u32..9, 0_u32..3, 0_u32..3),
        window in 0_u32..20,
        header in 0_u32..300,
        runs in prop::collection::vec((0_usize..1500, 0_usize..9000), 1..4),
    ) {
        let (min, more, most) = exps;
        let buzhash = ChunkerParams::buzhash(min, min + more + most + 1, min + more, 2 * window + 1).unwrap();
        for params in [buzhash, ChunkerParams::fixed(1 << min, header).unwrap()] {
            let mut bytes = Vec::new();
            let mut zeros_at = Vec::new();
            for (number, &(data, zeros)) in runs.iter().enumerate() {
                bytes.extend((0..data).map(|byte| (byte * byte * 31 + number) as u8 | 1));
                zeros_at.push((bytes.len(), bytes.len() + zeros));
                bytes.resize(bytes.len() + zeros, 0);
            }
            let expected = cuts(&mut Chunker::new(&params, seed), &bytes, || bytes.len());
            let mut chunker = Chunker::new(&params, seed);
            let (mut start, mut found) = (0, Vec::new());
            while start < bytes.len() {
                let run = zeros_at.iter().find(|(begin, end)| (*begin..*end).contains(&start));
                let zeros = run.map_or(0, |(_, end)| end - start) as u64;
                let cut = chunker.next_cut_in_zeros(zeros).or_else(|| chunker.next_cut(&bytes[start..], true));
                start += cut.unwrap();
                found.push(start);
            }
            prop_assert_eq!(found, expected, "{}", params);
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        fuzz_chunker(&bytes);
    }
}
