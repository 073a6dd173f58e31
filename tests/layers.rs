//! Dependencies point down only: the table of `docs/architecture.md`, held against `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// What each of our crates may use of the others. What is not named here may not be there.
const MAY_USE: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("chunker", &["core"]),
    ("compress", &["core"]),
    ("crypto", &["core"]),
    ("archive", &["crypto", "core"]),
    ("repository", &["core"]),
    ("rpc", &["core"]),
    ("remote", &["rpc", "core"]),
    ("docker", &["core"]),
    ("games", &["core"]),
    ("engine", &["archive", "chunker", "compress", "crypto", "core"]),
    ("scheduler", &["engine", "docker", "core"]),
    (
        "cli",
        &[
            "scheduler",
            "engine",
            "docker",
            "games",
            "repository",
            "remote",
            "rpc",
            "archive",
            "chunker",
            "compress",
            "crypto",
            "core",
            "bench",
        ],
    ),
    ("testkit", &["core"]),
    ("tests", &["testkit", "engine", "repository", "remote", "rpc", "core"]),
    ("bench", &["chunker", "compress", "crypto", "core"]),
];

/// The crates without I/O: time and randomness are their arguments.
const PURE: &[&str] = &["core", "chunker", "compress", "crypto", "archive", "rpc"];

/// What would let a pure crate reach the world, with the reason it is not noticed otherwise.
const IMPURE_CRATES: &[&str] =
    &["crossbeam-channel", "getrandom", "rand", "rayon", "rustix", "tempfile", "tokio", "tracing", "uzers"];
const IMPURE_WORDS: &[&str] = &[
    "std::fs::",
    "std::fs;",
    "std::net",
    "std::thread",
    "std::env::var",
    "std::process",
    "SystemTime::now",
    "Instant::now",
    "Timestamp::now",
    "Zoned::now",
];

/// Async is the business of these alone.
const MAY_BE_ASYNC: &[&str] = &["docker", "remote", "tests", "scheduler", "cli"];

/// The hot loops that safe code cannot make as fast, as measured; each has a safe twin and a test that both agree.
const MAY_BE_UNSAFE: &[&str] = &[
    "chunker/src/buzhash/avx2.rs",
    "chunker/src/buzhash/avx512.rs",
    "crypto/src/blake2b/avx2.rs",
    "crypto/src/blake2b/avx512.rs",
    // No loop: a system call that no crate offers. Its twin is not to know.
    "engine/src/source/residence.rs",
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// `None` is a normal dependency.
    kind: Option<String>,
}

/// The workspace's dependency graph.
struct Graph {
    /// Of every package, the packages its product is made of.
    uses: BTreeMap<String, BTreeSet<String>>,
    /// Our crates, by folder name, with the folder.
    ours: BTreeMap<String, PathBuf>,
}

impl Graph {
    fn read() -> Self {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.current_dir(worldkeeper_tests::project());
        // Packages of other platforms need not have been downloaded.
        let platform = ["--filter-platform", "x86_64-unknown-linux-gnu"];
        cargo.args(["metadata", "--format-version", "1", "--locked", "--offline"]).args(platform);
        let output = cargo.output().expect("cargo can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Metadata = serde_json::from_slice(&output.stdout).expect("cargo metadata is JSON");

        let names = metadata.packages.iter().map(|package| (&package.id, &package.name)).collect::<BTreeMap<_, _>>();
        let mut uses = BTreeMap::new();
        for node in &metadata.resolve.nodes {
            let normal = node.deps.iter().filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            let normal = normal.map(|dep| names[&dep.pkg].clone()).collect();
            uses.insert(names[&node.id].clone(), normal);
        }
        let ours = metadata.packages.iter().filter_map(|package| {
            let folder = package.name.strip_prefix("worldkeeper-")?;
            Some((folder.to_owned(), package.manifest_path.parent()?.to_owned()))
        });
        Self { ours: ours.collect(), uses }
    }

    /// What a crate of ours names in its manifest.
    fn direct(&self, folder: &str) -> &BTreeSet<String> {
        &self.uses[&format!("worldkeeper-{folder}")]
    }

    /// Everything that ends up in a crate of ours.
    fn all(&self, folder: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![format!("worldkeeper-{folder}")];
        while let Some(name) = open.pop() {
            let new = self.uses[&name].iter().filter(|name| found.insert((*name).clone())).cloned();
            open.extend(new.collect::<Vec<_>>());
        }
        found
    }
}

#[test]
fn no_crate_depends_upward() {
    let graph = Graph::read();
    let listed = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect::<BTreeSet<_>>();
    let existing = graph.ours.keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(existing, listed, "a crate came or went: give it its place in the table");
    for (folder, allowed) in MAY_USE {
        let ours = graph.direct(folder).iter().filter_map(|name| name.strip_prefix("worldkeeper-"));
        for used in ours {
            assert!(allowed.contains(&used), "{folder} uses {used}, which is not below it");
        }
    }
}

#[test]
fn async_stays_where_it_is_allowed() {
    let graph = Graph::read();
    for folder in graph.ours.keys().filter(|folder| !MAY_BE_ASYNC.contains(&folder.as_str())) {
        for heavy in ["tokio", "bollard", "futures-util", "hyper"] {
            assert!(!graph.all(folder).contains(heavy), "{folder} is blocking code, {heavy} came with a dependency");
        }
    }
}

#[test]
fn pure_crates_have_no_way_to_do_io() {
    let graph = Graph::read();
    for folder in PURE {
        for name in IMPURE_CRATES {
            assert!(!graph.direct(folder).contains(*name), "{folder} does no I/O, but depends on {name}");
        }
        for source in sources(&graph.ours[*folder].join("src")) {
            let text = std::fs::read_to_string(&source).expect("sources are text");
            let product = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in IMPURE_WORDS {
                assert!(!product.contains(word), "{folder} does no I/O, but {} says {word}", source.display());
            }
        }
    }
}

#[test]
fn unsafe_code_stays_in_the_loops_that_need_it() {
    let graph = Graph::read();
    let mut found = BTreeSet::new();
    // What is not a product crate has no `src`.
    for (folder, path) in graph.ours.iter().filter(|(_, path)| path.join("src").is_dir()) {
        for source in sources(&path.join("src")) {
            let text = std::fs::read_to_string(&source).expect("sources are text");
            if text.contains("unsafe_code") {
                let inside = source.strip_prefix(path).expect("it was found there");
                found.insert(format!("{folder}/{}", inside.display()));
            }
        }
    }
    let listed = MAY_BE_UNSAFE.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(found, listed, "these files may hold unsafe code, and no others");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).expect("a crate has sources").map(|entry| entry.expect("readable").path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    files.into_iter().chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}
