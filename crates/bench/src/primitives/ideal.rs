//! What the first archive of noise needs for each byte, if nobody ever waits for anybody.
//!
//! Every byte is read, cut, named, found not to compress, encrypted, authenticated, and written with a check sum; and what was
//! sealed is opened again and compared before it is written, since that is the default: another MAC, another decryption.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Rounds, in_memory, on_files};

/// The sum and what it is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ideal {
    parts: Vec<(String, f64)>,
    ns_per_byte: f64,
}

/// Measures each part in the best way that this machine has.
pub(super) fn measure(rounds: &Rounds<'_>, folder: &Path) -> anyhow::Result<Ideal> {
    let (read, write) = on_files::both(rounds, folder)?;
    let (encrypt, mac, compare) = in_memory::seal_in_steps(rounds)?;
    let parts = [
        ("read", read),
        ("cut", in_memory::default_cut(rounds)?),
        ("id", in_memory::best_id(rounds)?),
        ("lz4", in_memory::lz4_of_noise(rounds)?),
        ("AES", encrypt),
        ("MAC", mac),
        ("verify: MAC", mac),
        ("verify: AES", compare),
        ("CRC", in_memory::crc_of_noise(rounds)?),
        ("write", write),
    ];
    Ok(Ideal::of(&parts))
}

impl Ideal {
    pub(crate) fn of(parts: &[(&str, f64)]) -> Self {
        let ns_per_byte = parts.iter().map(|(_, ns)| ns).sum();
        Self { parts: parts.iter().map(|(name, ns)| ((*name).to_owned(), *ns)).collect(), ns_per_byte }
    }

    /// What so many bytes take on so many cores.
    pub(crate) fn seconds(&self, bytes: u64, cores: usize) -> f64 {
        self.ns_per_byte * bytes as f64 / 1e9 / cores.max(1) as f64
    }
}

impl fmt::Display for Ideal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts: Vec<_> = self.parts.iter().map(|(name, ns)| format!("{name} {ns:.3}")).collect();
        writeln!(f, "a perfect pipeline, first archive of noise, ns per byte: {}", parts.join(" + "))?;
        let [one, two] = [1, 2].map(|cores| self.seconds(1 << 30, cores));
        writeln!(f, "= {:.2} ns per byte: {one:.2} s per GiB on one core, {two:.2} s on two", self.ns_per_byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cores_take_half_as_long() {
        let ideal = Ideal::of(&[("read", 0.25), ("cut", 0.75)]);
        assert!((ideal.seconds(3_000_000_000, 2) - 1.5).abs() < 1e-9);
        assert!(ideal.to_string().contains("= 1.00 ns per byte: 1.07 s per GiB on one core, 0.54 s on two"), "{ideal}");
    }
}
