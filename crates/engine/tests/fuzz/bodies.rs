//! The bodies of all fuzz targets by name.

/// A body, and how much memory it may take beside what its input is the reason for.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    pub(crate) body: fn(&[u8]),
    pub(crate) room_bytes: usize,
}

/// All of them.
pub(crate) const TARGETS: &[Target] = &[
    target("msgpack", worldkeeper_core::msgpack::fuzz_decode, SMALL),
    // A buffer of 1 MiB, and one for the longest entry if a size asks for it.
    target("segment", worldkeeper_repository::fuzz::segment, 32 << 20),
    target("index", worldkeeper_repository::fuzz::index, SMALL),
    target("hints", worldkeeper_repository::fuzz::hints, SMALL),
    target("integrity", worldkeeper_repository::fuzz::integrity, SMALL),
    target("config", worldkeeper_repository::fuzz::config, SMALL),
    target("roster", worldkeeper_repository::fuzz::roster, SMALL),
    target("object", worldkeeper_crypto::fuzz_open, SMALL),
    target("tam", worldkeeper_crypto::tam::fuzz_verify, SMALL),
    target("key_blob", |bytes| with_text(bytes, worldkeeper_crypto::fuzz_key_blob), SMALL),
    target("key_file", |bytes| with_text(bytes, worldkeeper_crypto::fuzz_key_file), SMALL),
    target("paper", |bytes| with_text(bytes, worldkeeper_crypto::fuzz_paper), SMALL),
    // What is allowed to come out, some copies of it, and lzma's and zstd's windows.
    target("payload", worldkeeper_compress::fuzz_decompress, 32 << 20),
    target("compression", |bytes| with_text(bytes, worldkeeper_compress::fuzz_compression), SMALL),
    target("chunker_params", |bytes| with_text(bytes, worldkeeper_chunker::fuzz_params), SMALL),
    target("item", worldkeeper_archive::fuzz_item, SMALL),
    target("item_stream", worldkeeper_archive::fuzz_item_stream, SMALL),
    target("manifest", worldkeeper_archive::fuzz_manifest, SMALL),
    target("archive", worldkeeper_archive::fuzz_archive, SMALL),
    // Room for a message as long as it announces to be, and may be, set aside but not written to; twice that and the one before
    // where it then announces more.
    target("rpc_client", worldkeeper_rpc::fuzz_client, 72 << 20),
    target("rpc_server", worldkeeper_rpc::fuzz_server, 72 << 20),
    target("rpc_stderr", worldkeeper_rpc::fuzz_stderr, SMALL),
    target("known_hosts", worldkeeper_remote::fuzz_known_hosts, SMALL),
    // A window, and a buffer.
    target("worlds", worldkeeper_games::fuzz_worlds, SMALL),
    // A few windows at a time, and the longest block that a stream may have.
    target("plans", worldkeeper_games::fuzz_plans, 40 << 20),
    // Regular expressions are compiled.
    target("patterns", worldkeeper_engine::fuzz_patterns, 64 << 20),
];

const SMALL: usize = 1 << 20;

const fn target(name: &'static str, body: fn(&[u8]), room_bytes: usize) -> Target {
    Target { name, body, room_bytes }
}

fn with_text(bytes: &[u8], body: fn(&str)) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        body(text);
    }
}
