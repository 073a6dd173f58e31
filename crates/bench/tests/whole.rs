//! The harness from end to end, on as little as it takes: that it works, not how fast anything is.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::outcome::Outcome;
use worldkeeper_testkit::sshd::Sshd;
use worldkeeper_testkit::worldkeeper::program;

/// Runs the harness as [`bench_in`], with nothing more in its environment than the test's own.
fn bench(words: &[&str], stock: Option<&Borg>) -> (Value, String) {
    bench_in(&[], words, stock)
}

/// Runs the harness with its data in a folder of the test's, which must be empty afterwards. Returns the results and the
/// picture of them.
fn bench_in(environment: &[(&str, &Path)], words: &[&str], stock: Option<&Borg>) -> (Value, String) {
    let folder = TempDir::new().expect("temporary directories can be made");
    let data = folder.path().join("data");
    fs::create_dir(&data).expect("the folder is ours");
    let svg = folder.path().join("picture.svg");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_worldkeeper-bench"));
    command.arg("--worldkeeper").arg(program()).args(words).envs(environment.iter().copied());
    command.arg("--json").arg("--dir").arg(&data).arg("--svg").arg(&svg);
    if let Some(stock) = stock {
        command.args(["--against", "borg", "--borg"]).arg(stock.program());
    }
    let outcome = Outcome::of(&mut command).exits(0);
    assert_eq!(fs::read_dir(&data).expect("it is still there").count(), 0, "data were left behind");
    let json: Value = serde_json::from_str(outcome.stdout()).unwrap_or_else(|error| panic!("{error}: {outcome}"));
    (json["results"].clone(), read(&svg))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn figures<'a>(list: &'a Value, name: &'a str) -> impl Iterator<Item = f64> + 'a {
    list.as_array().into_iter().flatten().filter_map(move |entry| entry[name].as_f64())
}

#[test]
fn parts_add_up_to_what_a_perfect_pipeline_needs() {
    let (results, svg) = bench(&["primitives", "--working-set", "1", "--rounds", "1"], None);
    let rates: Vec<_> = figures(&results["parts"], "ns_per_byte").collect();
    assert!(rates.len() >= 24 && rates.iter().all(|rate| *rate > 0.0), "{results}");
    let ideal = &results["ideal"];
    let sum: f64 = ideal["parts"].as_array().expect("parts").iter().filter_map(|part| part[1].as_f64()).sum();
    assert!((sum - ideal["ns_per_byte"].as_f64().expect("a sum")).abs() < 1e-9, "{ideal}");
    assert!(svg.contains("BLAKE2b-256, one stream"));
}

#[test]
fn every_operation_is_measured_beside_stock() {
    let Some(stock) = Borg::newest() else { return };
    let (results, svg) = bench(&["all", "--corpora", "noise", "--mebibytes", "2", "--runs", "1"], Some(&stock));
    let rows = results["rows"].as_array().expect("rows");
    let operations: Vec<_> = rows.iter().map(|row| row["operation"].as_str().unwrap_or_default()).collect();
    assert_eq!(operations, ["create", "rerun", "check", "extract", "list", "prune"]);
    for row in rows {
        let tools = row["tools"].as_array().expect("tools");
        let names: Vec<_> = tools.iter().map(|tool| tool["tool"].as_str().unwrap_or_default()).collect();
        assert_eq!(names, ["worldkeeper", "borg"]);
        assert!(figures(&row["tools"], "stored").all(|stored| (2.0..6.0).contains(&stored)), "{row}");
        assert!(tools.iter().all(|tool| tool["median"]["wall"].as_f64() > Some(0.0)), "{row}");
        assert!(tools[1]["to_ours"]["wall"].as_f64() > Some(0.0), "{row}");
    }
    assert!(rows[0]["efficiency"][0].as_f64() > Some(0.0), "{results}");
    assert!(svg.contains(&stock.to_string()), "{svg}");
}

#[test]
fn repositories_on_another_machine_are_gone_afterwards() {
    let (Some(stock), Some(sshd)) = (Borg::newest(), Sshd::start()) else { return };
    let far = sshd.folder().join("far");
    fs::create_dir(&far).expect("the folder is ours");
    let (url, borg) = (sshd.url(&far), stock.program().display().to_string());
    let (key, known_hosts) = (sshd.key(), sshd.known_hosts("ed25519"));
    let words = ["remote", &url, "--far-borg", &borg, "--far-worldkeeper", &borg, "--runs", "1"];
    let corpus = ["--corpora", "noise", "--mebibytes", "1"];
    let environment = [("SSH_KEY_PATH", key.as_path()), ("SSH_KNOWN_HOSTS", known_hosts.as_path())];
    let (results, _) = bench_in(&environment, &[&words[..], &corpus].concat(), Some(&stock));
    let rows = results["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 2, "{results}");
    assert!(rows.iter().all(|row| row["tools"][1]["to_ours"]["wall"].as_f64() > Some(0.0)), "{results}");
    assert_eq!(fs::read_dir(&far).expect("it is still there").count(), 0, "repositories were left behind");
}

#[test]
fn an_hour_of_a_world_costs_less_with_our_cuts() {
    let (results, svg) = bench(&["world", "--demo", "1", "--times", "2"], None);
    let states = results["states"].as_array().expect("states");
    assert_eq!(states.len(), 3, "{results}");
    let stored =
        |way: usize| states[1..].iter().filter_map(|state| state["stored"][way]["megabytes"].as_f64()).sum::<f64>();
    assert!(stored(0) > 2.0 * stored(1) && stored(1) > 0.0, "{results}");
    assert!(svg.contains("stock's cuts"));
}

#[test]
fn what_an_hour_costs_may_be_asked_of_any_directory() {
    let folder = TempDir::new().expect("temporary directories can be made");
    for state in ["monday", "tuesday"] {
        fs::create_dir(folder.path().join(state)).expect("the folder is ours");
        fs::write(folder.path().join(state).join("level.dat"), "the same").expect("the folder is ours");
    }
    let path = |state: &str| folder.path().join(state).display().to_string();
    // Nothing has changed but where it lies: what is stored is the archive alone.
    let (kept, _) = bench(&["world", &path("monday"), &path("tuesday")], None);
    let bytes = |results: &Value| results["states"][1]["stored"][1]["megabytes"].as_f64().expect("a figure") * 1e6;
    assert!((100.0..3000.0).contains(&bytes(&kept)), "{kept}");

    let change = "head -c 100000 /dev/urandom >> level.dat";
    let (changed, _) = bench(&["world", &path("monday"), "--times", "1", "--then", change], None);
    assert!((100_000.0..104_000.0).contains(&bytes(&changed)), "{changed}");
}

#[test]
fn growth_is_measured_in_steps_of_ten() {
    let (results, svg) = bench(&["scale", "--files", "1000", "--chunks", "10000", "--runs", "1"], None);
    let series = results["series"].as_array().expect("series");
    assert_eq!(series.len(), 4, "{results}");
    assert!(series.iter().all(|series| series["steps"].as_array().is_some_and(|steps| steps.len() == 1)), "{results}");
    assert!(svg.ends_with("</svg>\n"));
}
