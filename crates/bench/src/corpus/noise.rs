//! Bytes by seed: noise that no compression makes smaller, and text that every compression does.

use std::io::{self, Write};

/// Numbers that look random (xorshift64*): the same seed, the same numbers.
#[derive(Clone)]
pub(crate) struct Noise(u64);

impl Noise {
    /// Seeds that are near each other begin far apart.
    pub(crate) fn new(seed: u64) -> Self {
        // Zero is the one state that never leaves itself.
        Self(seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The low bits are the poorer ones.
        (self.next() >> 16) % end
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            let noise = self.next().to_le_bytes();
            word.copy_from_slice(&noise[..word.len()]);
        }
    }

    /// So many bytes in memory.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }
}

/// Lines of a server's log: words of a small vocabulary, times and numbers.
pub(crate) struct Text {
    noise: Noise,
    words: Vec<String>,
    /// Of the last line, what did not fit.
    rest: Vec<u8>,
}

impl Text {
    pub(crate) fn new(seed: u64) -> Self {
        const SYLLABLES: [&str; 16] =
            ["ka", "lo", "mi", "ren", "tor", "us", "be", "gra", "sha", "en", "ol", "ti", "var", "qu", "im", "da"];
        let mut noise = Noise::new(seed);
        let mut word = || (0..=noise.below(3)).map(|_| SYLLABLES[noise.below(16) as usize]).collect();
        let words = (0..600).map(|_| word()).collect();
        Self { noise, words, rest: Vec::new() }
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        let mut at = 0;
        while at < bytes.len() {
            if self.rest.is_empty() {
                self.rest = self.line().into_bytes();
            }
            let len = self.rest.len().min(bytes.len() - at);
            bytes[at..][..len].copy_from_slice(&self.rest[..len]);
            self.rest.drain(..len);
            at += len;
        }
    }

    /// So many bytes in memory.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(&mut bytes);
        bytes
    }

    fn line(&mut self) -> String {
        let time = self.noise.below(86_400);
        let mut line = format!("[{:02}:{:02}:{:02}] [Server thread/INFO]:", time / 3600, time / 60 % 60, time % 60);
        for _ in 0..3 + self.noise.below(10) {
            // Some words are said much more often than others.
            let most = 1 + self.noise.below(self.words.len() as u64);
            line.push(' ');
            line.push_str(&self.words[self.noise.below(most) as usize]);
        }
        line + &format!(" {}\n", self.noise.below(100_000))
    }
}

/// Writes what `fill` gives, in pieces, so that it costs no memory.
pub(super) fn write(out: &mut impl Write, mut left: u64, mut fill: impl FnMut(&mut [u8])) -> io::Result<()> {
    let mut piece = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
    while left > 0 {
        let len = left.min(PIECE as u64) as usize;
        fill(&mut piece[..len]);
        out.write_all(&piece[..len])?;
        left -= len as u64;
    }
    Ok(())
}

/// A multiple of the length of a number.
const PIECE: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
        assert_eq!(Noise::new(1).bytes(1001), Noise::new(1).bytes(1001));
        assert_ne!(Noise::new(1).bytes(1001), Noise::new(2).bytes(1001));
        assert_eq!(Text::new(1).bytes(1001), Text::new(1).bytes(1001));
        assert_ne!(Text::new(1).bytes(1001), Text::new(2).bytes(1001));
    }

    #[test]
    fn noise_does_not_compress_and_text_does_as_text_does() {
        let compressed = |bytes: &[u8]| {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap().len()
        };
        assert!(compressed(&Noise::new(3).bytes(1 << 18)) >= 1 << 18);
        let text = compressed(&Text::new(3).bytes(1 << 18));
        assert!((1 << 18) / 5 < text && text < (1 << 18) / 2, "{text}");
    }

    #[test]
    fn what_is_written_in_pieces_is_what_comes_in_one() {
        let (mut noise, mut text) = (Noise::new(5), Text::new(5));
        let len = PIECE * 2 + 77;
        let (mut written, mut lines) = (Vec::new(), Vec::new());
        write(&mut written, len as u64, |piece| noise.fill(piece)).unwrap();
        write(&mut lines, len as u64, |piece| text.fill(piece)).unwrap();
        assert_eq!(written, Noise::new(5).bytes(len));
        assert_eq!(lines, Text::new(5).bytes(len));
    }
}
