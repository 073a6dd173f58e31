//! Databases: a session costs the pages that it wrote.

use worldkeeper_testkit::gate;

use crate::growth::{Grown, Growth};
use crate::simulator::Simulator;

#[test]
fn gate_a_session_costs_the_pages_it_wrote() {
    let Some(simulator) = Simulator::found() else { return };
    let Some(mut growth) = Growth::begin() else { return };
    let world = growth.keeper.world();
    simulator.database(&world, 120_000);
    let _ = growth.step();
    let mut sum = Grown::default();
    for turn in 1..=gate::amount(2, 14) {
        simulator.play_in_database(&world, turn);
        let grown = growth.step();
        eprintln!("session {turn}: {grown:?}");
        sum = Grown { ours: sum.ours + grown.ours, stock: sum.stock + grown.stock };
    }
    assert!(sum.stock >= sum.ours * 12, "{sum:?}");
}
