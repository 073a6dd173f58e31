//! Upstream's own tests of a server, as they are shipped with borg, held against ours: they start what the plugin
//! `foreign_serve.py` tells them to.

use std::path::PathBuf;
use std::process::Command;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::{fixtures, peers};

use crate::site::Site;

/// Why tests are skipped: all for want of something on the machine, none for what a server is.
const REASONS: [&str; 7] = [
    "Linux capabilities test, requires fakeroot",
    "cannot properly setup and execute test without birthtime",
    "llfuse not installed",
    "malicious archive is crafted via direct (local) repository access",
    "only for macOS",
    "only works locally",
    "xattr not supported on this system",
];

/// How it ended.
struct Ran {
    said: String,
    passed: u32,
    skipped: u32,
}

/// Runs the tests of a module that match; `None` where there is no pytest.
fn run(module: &str, matching: &str, options: &[&str]) -> Option<Ran> {
    let python = peers::or_skip("pytest", python())?;
    let site = Site::new();
    let plugin = fixtures::path("vectors/upstream-tests/foreign_serve.py");
    let mut command = Command::new(&python);
    command.args(["-m", "pytest", "-p", "no:cacheprovider", "--benchmark-skip", "-q", "-rs", "--tb=short"]);
    command.args(["-o", "python_files=testsuite/*.py", "-p", "foreign_serve", "--pyargs", module, "-k", matching]);
    command.args(options).current_dir(site.path("bin")).env_clear();
    let bin = python.parent().unwrap().display();
    let path = std::env::var("PATH").unwrap_or_default();
    // One of the tests starts `python3 -m borg.archiver`.
    command.env("PATH", format!("{bin}:{path}")).env("PYTHONPATH", plugin.parent().unwrap());
    command.env("HOME", site.path("bin")).env("LANG", "C.UTF-8").env("FOREIGN_SERVE", site.path("bin/borg"));
    command.env("FOREIGN_SERVE_LOG", site.path("servers")).env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let servers = std::fs::read_to_string(site.path("servers")).unwrap();
    assert!(servers.lines().all(|line| line.starts_with(site.path("bin/borg").to_str().unwrap())), "{servers}");
    Some(Ran { passed: count(&said, "passed"), skipped: count(&said, "skipped"), said })
}

/// A number of the last line, as in `210 passed, 22 skipped, 551 deselected in 70.10s`.
fn count(said: &str, what: &str) -> u32 {
    let summary = said.lines().last().unwrap_or_default();
    let words: Vec<_> = summary.split([' ', ',']).collect();
    words.windows(2).find(|pair| pair[1] == what).map_or(0, |pair| pair[0].parse().expect("a number"))
}

#[test]
fn upstreams_tests_of_a_remote_repository_pass() {
    let Some(ran) = run("borg.testsuite.repository", "Remote", &[]) else { return };
    assert_eq!((ran.passed, ran.skipped), (28, 0), "{}", ran.said);
}

#[test]
fn upstreams_tests_of_a_remote_archiver_pass() {
    let Some(ran) = run("borg.testsuite.archiver", "RemoteArchiverTestCase", &["-n", "2"]) else { return };
    // With stock's server it is 210 and 22; a machine that has more skips less.
    assert_eq!(ran.passed + ran.skipped, 232, "{}", ran.said);
    assert!(ran.passed >= 210, "{}", ran.said);
    for line in ran.said.lines().filter(|line| line.starts_with("SKIPPED")) {
        assert!(REASONS.iter().any(|reason| line.contains(reason)), "{line}");
    }
}

fn python() -> Result<PathBuf, String> {
    let borg = Borg::newest().ok_or("there is no borg")?;
    let python = borg.program().parent().ok_or("borg has no folder")?.join("python");
    let asked = Command::new(&python).args(["-c", "import borg.testsuite, pytest, pytest_benchmark, xdist"]).output();
    match asked {
        Ok(output) if output.status.success() => Ok(python),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Err(format!("{}: {error}", python.display())),
    }
}
