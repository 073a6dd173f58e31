//! Keys, key files, ids, sealing and opening, TAM, nonce policy.
