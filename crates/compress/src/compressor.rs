//! Compresses chunks the way a user asked for.

use crate::algorithm::{Algorithm, HEADER_LEN};
use crate::obfuscation::Obfuscation;
use crate::spec::{Compression, Method};
use crate::{lz4, lzma, zlib, zstd};

/// Compresses chunks. Made to be kept, one per thread: its algorithms allocate once.
///
/// `R` fills bytes with random ones; only `obfuscate` asks for them.
pub struct Compressor<R> {
    encoder: Encoder,
    /// What `auto` tries first.
    cheap: Option<lz4::Encoder>,
    obfuscation: Option<Obfuscation>,
    /// As many zeros as the longest padding so far.
    zeros: Vec<u8>,
    random: R,
}

impl<R, E> Compressor<R>
where
    R: FnMut(&mut [u8]) -> Result<(), E>,
{
    /// A compressor for this way to compress, and the source of random bytes for it.
    pub fn new(compression: Compression, random: R) -> Self {
        let (encoder, cheap) = match (compression.is_auto, compression.method) {
            // Neither is ever better than lz4.
            (true, Method::None | Method::Lz4) => (Encoder::new(Method::Lz4), None),
            (true, method) => (Encoder::new(method), Some(lz4::Encoder::new())),
            (false, method) => (Encoder::new(method), None),
        };
        Self { encoder, cheap, obfuscation: compression.obfuscation, zeros: Vec::new(), random }
    }

    /// Makes the payload of `data`, which must be less than 4 GiB: header and body.
    ///
    /// As in borg, data that lz4, zstd or lzma cannot make smaller is stored as it is, and zlib always stays zlib. An
    /// algorithm that fails (for want of memory) also leaves the data as it is.
    ///
    /// # Errors
    ///
    /// What the source of random bytes says when it fails.
    pub fn payload<'a>(&'a mut self, data: &'a [u8]) -> Result<Payload<'a>, E> {
        let payload = best(&mut self.encoder, self.cheap.as_mut(), data);
        let Some(obfuscation) = self.obfuscation else { return Ok(payload) };
        let size = payload.len();
        let padding = obfuscation.padding(size, || unit(&mut self.random))?;
        if self.zeros.len() < padding {
            self.zeros.resize(padding, 0);
        }
        let size = u32::try_from(size).expect("the data is less than 4 GiB").to_be_bytes();
        let head = Head::of(&[Algorithm::Obfuscate.header(), &size, payload.head.bytes()]);
        Ok(Payload { head, padding: &self.zeros[..padding], is_data: false, ..payload })
    }

    /// Appends the [payload](Self::payload) of `data` to `out`; what `out` holds already stays, after an error too.
    pub fn compress(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), E> {
        let payload = self.payload(data)?;
        out.reserve(payload.len());
        payload.pieces().into_iter().for_each(|piece| out.extend_from_slice(piece));
        Ok(())
    }
}

/// The payload for `data`, before it is padded; `cheap` is what `auto` tries first.
///
/// Source: borg 1.4 `compress.pyx`, `Auto`.
fn best<'a>(encoder: &'a mut Encoder, cheap: Option<&'a mut lz4::Encoder>, data: &'a [u8]) -> Payload<'a> {
    let Some(cheap) = cheap else { return encoder.encode(data) };
    let cheap = Payload::smaller(Algorithm::Lz4, cheap.encode(data), data);
    if ratio(cheap.len(), HEADER_LEN + data.len()) >= WORTH_TRYING {
        return cheap;
    }
    let expensive = encoder.encode(data);
    if ratio(expensive.len(), cheap.len()) < WORTH_KEEPING { expensive } else { cheap }
}

/// `auto` tries another algorithm where lz4 makes a payload this much smaller.
const WORTH_TRYING: f64 = 0.97;
/// `auto` keeps the payload of the other algorithm if it is this much smaller than that of lz4.
const WORTH_KEEPING: f64 = 0.99;

/// How large one payload is in comparison to another. A quotient as in borg, so that the limits are to the byte.
fn ratio(size: usize, other: usize) -> f64 {
    size as f64 / other as f64
}

/// A random number, 0 or more and less than 1, with all the bits that fit.
fn unit<E>(random: &mut impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<f64, E> {
    let mut bytes = [0; 8];
    random(&mut bytes)?;
    let unused = u64::BITS - f64::MANTISSA_DIGITS;
    Ok((u64::from_le_bytes(bytes) >> unused) as f64 / (1_u64 << f64::MANTISSA_DIGITS) as f64)
}

/// An algorithm with what it keeps from chunk to chunk.
enum Encoder {
    None,
    Lz4(lz4::Encoder),
    Zstd(zstd::Encoder),
    Zlib(zlib::Encoder),
    Lzma(lzma::Encoder),
}

impl Encoder {
    fn new(method: Method) -> Self {
        match method {
            Method::None => Self::None,
            Method::Lz4 => Self::Lz4(lz4::Encoder::new()),
            Method::Zstd(level) => Self::Zstd(zstd::Encoder::new(level)),
            Method::Zlib(level) => Self::Zlib(zlib::Encoder::new(level)),
            Method::Lzma(level) => Self::Lzma(lzma::Encoder::new(level)),
        }
    }

    fn encode<'a>(&'a mut self, data: &'a [u8]) -> Payload<'a> {
        match self {
            Self::None => Payload::none(data),
            Self::Lz4(encoder) => Payload::smaller(Algorithm::Lz4, encoder.encode(data), data),
            Self::Zstd(encoder) => Payload::smaller(Algorithm::Zstd, encoder.encode(data).map(in_one), data),
            Self::Lzma(encoder) => Payload::smaller(Algorithm::Lzma, encoder.encode(data).map(in_one), data),
            Self::Zlib(encoder) => match encoder.encode(data) {
                Some(body) => Payload::new(Algorithm::Zlib, in_one(body)),
                None => Payload::none(data),
            },
        }
    }
}

/// What an algorithm makes of data, in pieces that lie where they were made; the data may be one of them.
pub(crate) type Body<'a> = [&'a [u8]; 3];

/// A body that lies in one place.
pub(crate) fn in_one(body: &[u8]) -> Body<'_> {
    [body, &[], &[]]
}

/// A payload, in pieces that lie where they were made.
#[derive(Clone, Copy, Debug)]
pub struct Payload<'a> {
    head: Head,
    body: Body<'a>,
    padding: &'a [u8],
    /// The body is the data as it is.
    is_data: bool,
}

impl<'a> Payload<'a> {
    fn new(algorithm: Algorithm, body: Body<'a>) -> Self {
        Self { head: Head::of(&[algorithm.header()]), body, padding: &[], is_data: false }
    }

    /// The data as it is.
    fn none(data: &'a [u8]) -> Self {
        Self { is_data: true, ..Self::new(Algorithm::None, in_one(data)) }
    }

    /// What an algorithm made of the data, or the data as it is if that is not larger.
    fn smaller(algorithm: Algorithm, body: Option<Body<'a>>, data: &'a [u8]) -> Self {
        match body.filter(|body| body.iter().map(|piece| piece.len()).sum::<usize>() < data.len()) {
            Some(body) => Self::new(algorithm, body),
            None => Self::none(data),
        }
    }

    /// In bytes, with its header.
    #[expect(clippy::len_without_is_empty, reason = "it has a header")]
    pub fn len(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// What it is made of, one after the other.
    pub fn pieces(&self) -> [&[u8]; 5] {
        let [first, second, third] = self.body;
        [self.head.bytes(), first, second, third, self.padding]
    }

    /// The header, if what follows it is nothing but the data.
    pub fn header_of_data(&self) -> Option<&'static [u8]> {
        self.is_data.then(|| Algorithm::None.header())
    }
}

/// What is in front of a body: two bytes, and those of a wrapper.
#[derive(Clone, Copy, Debug)]
struct Head {
    bytes: [u8; 2 * HEADER_LEN + size_of::<u32>()],
    len: usize,
}

impl Head {
    fn of(pieces: &[&[u8]]) -> Self {
        let mut head = Self { bytes: [0; _], len: 0 };
        for piece in pieces {
            head.bytes[head.len..][..piece.len()].copy_from_slice(piece);
            head.len += piece.len();
        }
        head
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}
