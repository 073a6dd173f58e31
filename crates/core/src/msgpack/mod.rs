//! Borg's dialect of MessagePack.
//!
//! Borg 1.x packs by the specification of before 2013: text and bytes alike are the *raw* family (fixraw, raw16,
//! raw32), which later became the string family. It never writes `str8`, `bin` or `ext`. [`Encoder`] writes just what
//! borg writes; [`Decoder`] takes `str8` and `bin` as well, as borg 1.4 does.
//!
//! Everything that is read may come from an attacker: a length is believed only as far as there are bytes to back it,
//! nesting is limited, and nothing is allocated before that is known.

mod canonical;
mod decode;
mod encode;
mod scan;
mod value;

pub use canonical::canonical;
pub use decode::{DecodeError, Decoder, Kind, fuzz_decode};
pub use encode::Encoder;
pub use scan::Scanner;
pub use value::Value;
