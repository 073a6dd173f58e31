//! Archives that are chosen by when they were begun, made by stock so that nobody's clock counts.

use std::fs;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper};

use crate::place;

/// Name and time, in UTC, as stock takes it.
const ARCHIVES: [(&str, &str); 4] = [
    ("october", "2025-10-31T22:59:59"),
    ("midnight", "2025-10-31T23:00:00"),
    ("november", "2025-11-15T12:00:00"),
    ("december", "2025-12-01T00:00:00"),
];

fn listed(keeper: &Worldkeeper, flags: &[&str]) -> Vec<String> {
    keeper.run(["list", "--short"].iter().chain(flags)).lines()
}

#[test]
fn archives_are_chosen_by_date_and_by_age() {
    let Some(borg) = Borg::newest() else { return };
    let borg = borg.with_passphrase(PASSPHRASE).warmed();
    let (_folder, keeper) = place("repokey-blake2");
    let world = keeper.world();
    fs::create_dir(&world).expect("a folder can be made");
    fs::write(world.join("level.dat"), "seed").expect("a file can be written");
    borg.init(&keeper.repository(), "repokey-blake2");
    for (name, time) in ARCHIVES {
        let _ = borg.create(&keeper.repository(), name, &world, &["--timestamp", time]);
    }
    let ours = keeper.backup();
    let all: Vec<_> = ARCHIVES.iter().map(|(name, _)| *name).chain([ours.as_str()]).collect();

    for (flags, expected) in [
        (&[][..], all.as_slice()),
        (&["--newer", "2025-11-15"], &all[2..]),
        (&["--newer", "2025-11-15T12:00:00"], &all[2..]),
        (&["--newer", "2025-11-15 12:00:01"], &all[3..]),
        (&["--older", "2025-11-15T12:00"], &all[..2]),
        (&["--newer", "2025-11-01", "--older", "2025-12-01"], &all[2..3]),
        (&["--newer", "2025-11-01", "--older", "2025-12-01T00:00:00+00:00", "--first", "1"], &all[2..3]),
        (&["--newer", "1d"], &all[4..]),
        (&["--older", "1d", "--last", "2"], &all[2..4]),
        (&["--older", "1H", "--glob-archives", "*ber"], &["october", "november", "december"]),
    ] {
        assert_eq!(listed(&keeper, flags), expected, "{flags:?}");
    }
    // Days are those of the zone in which archives are listed.
    let berlin = keeper.clone().with("TZ", "Europe/Berlin");
    let november = ["--newer", "2025-11-01", "--older", "2025-12-01"];
    assert_eq!(listed(&berlin, &november), ["midnight", "november"]);
    for nonsense in ["soon", "7", "2025-13-01", "2025-11-06T12:00[Europe/Berlin]"] {
        let _ = keeper.try_run(["list", "--newer", nonsense]).exits(2).says(&[nonsense, "like 36H, 7d"]);
    }

    let _ = keeper.run(["delete", "--older", "2025-11-15", "--dry-run"]).says(&["would delete october"]);
    let _ = keeper.run(["delete", "--older", "2020-01-01"]).says(&["nothing is deleted"]);
    assert_eq!(listed(&keeper, &[]), all);
    let _ = keeper.run(["delete", "--older", "2025-11-15"]).says(&["deleted 2 archives"]);
    let _ = keeper.run(["check", "--newer", "2025-11-15", "--older", "1d"]);
    assert_eq!(borg.archives(&keeper.repository()), all[2..]);
    borg.check(&keeper.repository());
}
