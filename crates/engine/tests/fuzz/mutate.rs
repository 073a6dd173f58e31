//! Makes new inputs from recorded ones, so that they come past the first check: pieces are moved, repeated and exchanged,
//! lengths become extreme, and checksums are set right again.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use worldkeeper_testkit::random::Random;

/// Changes one of `seeds` in some places.
pub(crate) fn mutated(target: &str, seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let seed: &Vec<u8> = random.pick(seeds);
    // Base64 hides the structure, and a change in it is mostly no base64.
    let (head, mut bytes) = unwrapped(target, seed);
    for _ in 0..=random.below(4) {
        let other: &Vec<u8> = random.pick(seeds);
        mutate(&mut bytes, other, random);
    }
    match target {
        "segment" => set_checksums_right(&mut bytes),
        "key_blob" | "key_file" => return [head, BASE64.encode(bytes).into_bytes()].concat(),
        _ => {}
    }
    bytes
}

/// What is inside base64, and what stands in front of it.
fn unwrapped(target: &str, seed: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let body = match target {
        "key_blob" => 0,
        "key_file" => seed.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1),
        _ => return (Vec::new(), seed.to_vec()),
    };
    let compact: Vec<u8> = seed[body..].iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    (seed[..body].to_vec(), BASE64.decode(compact).expect("it was recorded"))
}

fn mutate(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.below(bytes.len());
    let end = at + random.below((bytes.len() - at).min(64) + 1);
    match random.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.below(256) as u8,
        // What begins something in MessagePack, or is a length that is not there.
        2 if at < bytes.len() => bytes[at] = *random.pick(&MARKERS),
        3 => {
            let number = *random.pick(&NUMBERS);
            let number = if random.below(2) == 0 { number.to_le_bytes() } else { number.to_be_bytes() };
            let room = bytes.len().min(at + number.len());
            bytes[at..room].copy_from_slice(&number[..room - at]);
        }
        4 => bytes.truncate(at),
        5 => _ = bytes.drain(at..end),
        6 => {
            let piece = bytes[at..end].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, piece);
        }
        7 => {
            let from = random.below(other.len());
            let piece = &other[from..from + random.below((other.len() - from).min(64) + 1)];
            bytes.splice(at..end, piece.iter().copied());
        }
        _ => bytes.extend((0..random.below(20)).map(|_| random.below(256) as u8).collect::<Vec<_>>()),
    }
}

/// Gives each entry of a segment the checksum that it should have, as far as its sizes lead.
fn set_checksums_right(segment: &mut [u8]) {
    let mut offset = 8;
    while let Some(head) = segment.get(offset..offset + 9) {
        let size = u32::from_le_bytes(head[4..8].try_into().expect("it has 4 bytes")) as usize;
        let Some(entry) = segment.get_mut(offset..).and_then(|rest| rest.get_mut(..size)).filter(|_| size >= 9) else {
            return;
        };
        let crc = crc32fast::hash(&entry[4..]);
        entry[..4].copy_from_slice(&crc.to_le_bytes());
        offset += size;
    }
}

const MARKERS: [u8; 20] = [
    0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc3, 0xc6, 0xca, 0xcf, 0xd3, 0xdb, 0xdd, 0xdf, 0xe0,
    0xff,
];
const NUMBERS: [u32; 9] =
    [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffe, 0xffff_fc00, 20 << 20, (20 << 20) + 1];
