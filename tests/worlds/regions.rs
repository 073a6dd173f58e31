//! Region files: an hour of play costs what the chunks cost that were written.

use worldkeeper_testkit::gate;

use crate::growth::{Grown, Growth};
use crate::simulator::Simulator;

/// At night 170 regions (944 MB) and a day of play, which takes two hours.
#[test]
fn gate_an_hour_of_play_costs_the_chunks_it_wrote() {
    let Some(simulator) = Simulator::found() else { return };
    let Some(mut growth) = Growth::begin() else { return };
    let (regions, hours) = (gate::amount(8, 170), gate::amount(3, 24));
    let world = growth.keeper.world();
    simulator.create(&world, regions);
    let first = (growth.step(), simulator.estimate(&world, CUT, &[]).total());
    eprintln!("first: {first:?}");
    assert!(first.0.ours as f64 <= first.1 as f64 * MARGIN, "{first:?}");

    let (mut sum, mut estimated) = (Grown::default(), 0);
    for hour in 1..=hours {
        let played = simulator.play(&world, hour);
        let (grown, estimate) = (growth.step(), simulator.estimate(&world, CUT, &[]).total());
        eprintln!("hour {hour}: {grown:?}, estimated {estimate}; {played}");
        sum = Grown { ours: sum.ours + grown.ours, stock: sum.stock + grown.stock };
        estimated += estimate;
    }
    eprintln!("{hours} hours: {sum:?}, estimated {estimated}");
    assert!(sum.ours as f64 <= estimated as f64 * MARGIN, "{sum:?}, estimated {estimated}");
    assert!(sum.stock > sum.ours * 2, "{sum:?}");
    if gate::is_nightly() {
        assert!(sum.ours <= hours as u64 * 28_500_000, "{sum:?}");
        assert!(sum.stock > sum.ours * 4, "{sum:?}");
    }
}

/// The simulator's name for one piece for each chunk.
const CUT: &str = "mc chunk, 1 per piece";
/// What the estimate may be wrong by.
const MARGIN: f64 = 1.03;
