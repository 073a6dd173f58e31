//! A line that carries one byte at a time, both ways: all is as ever, only slower.

use worldkeeper_engine::{CreateOptions, Destination, ExtractOptions, Silent, create, extract};
use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::fixtures::sha_stream;
use worldkeeper_testkit::worldkeeper::{PASSPHRASE, Worldkeeper, below};
use worldkeeper_testkit::{gate, tree};

use crate::cable::Cable;
use crate::{Server, sidecar};

#[test]
fn a_line_that_drips_loses_nothing() {
    for server in Server::all() {
        let folder = gate::folder();
        let keeper = Worldkeeper::at(folder.path());
        tree::world(&keeper.world(), 3, "drip");
        let first = keeper.backup();
        for file in 0..4 {
            tree::write(&keeper.world().join(format!("region/{file}")), &sha_stream(&format!("drip {file}"), 8_000));
        }
        let cable = Cable::dripping(&server.start(folder.path()));
        let run = |hour, act: fn(&Worldkeeper, &mut _) -> sidecar::Outcome<Vec<String>>| {
            sidecar::run(&keeper, &cable, hour, |repository| repository, |session| act(&keeper, session))
                .unwrap_or_else(|error| panic!("{}: {error}", server.name()))
        };
        let made = run(1, |keeper, session| {
            let options = CreateOptions { sealers: 2, ..CreateOptions::new("world", [keeper.world()]) };
            Ok(vec![create(session, &options, &Silent)?.name.to_string()])
        });
        let listed = run(2, |keeper, session| {
            let archives = session.archives();
            let archive = session.open_archive(archives.last().expect("there are two"))?;
            let target = keeper.folder().join("restored");
            let destination = Destination::Directory(&target);
            let stats = extract(session, &archive, destination, &ExtractOptions::default(), &Silent)?;
            assert!(!stats.has_warnings(), "{stats:?}");
            Ok(archives.into_iter().map(|archive| archive.name.to_string()).collect())
        });
        assert_eq!(listed, [first.as_str(), &made[0]], "{}", server.name());
        tree::assert_same(&keeper.world(), &below(&folder.path().join("restored"), &keeper.world()));
        if let Some(borg) = Borg::newest() {
            borg.with_passphrase(PASSPHRASE).check(&keeper.repository());
        }
    }
}
