//! Which containers exist, what state they are in, what happens to them.
