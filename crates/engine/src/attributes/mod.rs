//! What a file system object has besides its content, between the kernel's words and borg's.
//!
//! [`source`](crate::source) reads with it, [`restore`](crate::restore) writes with it.

pub(crate) mod acl;
mod escaped;
pub(crate) mod flags;
mod names;

pub(crate) use escaped::Escaped;
pub(crate) use names::Names;
pub use names::username;
