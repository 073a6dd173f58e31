//! Cuts a byte stream where borg would: buzhash and fixed chunking.
