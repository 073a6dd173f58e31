//! What the tests of the binary share.
