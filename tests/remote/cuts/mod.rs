//! The cable is cut at every edge of every message, a byte before and a byte behind it, and anywhere else, in both directions.
//!
//! Whatever was being done is done as a whole or not at all, and what is reported is what was done; the next run goes well
//! with nobody's help; no counter value is used twice.

mod site;

use std::fmt;

use worldkeeper_testkit::borg::Borg;
use worldkeeper_testkit::gate::{self, Random};

use crate::Server;
use crate::cable::{Cut, Way};
use site::{Operation, Site};

/// One cut.
struct Case {
    operation: Operation,
    cut: Cut,
    /// Stock looks at what is left, too.
    asks_stock: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?} cut at byte {}", self.operation, self.cut.way, self.cut.at)
    }
}

/// Every edge and its neighbours, and as many places between.
fn places(site: &Site, operation: Operation) -> Vec<Cut> {
    let mut random = Random::new(gate::seed());
    let mut places = Vec::new();
    for (way, edges) in [Way::There, Way::Back].into_iter().zip(site.edges(operation)) {
        let end = edges.last().copied().expect("something was said");
        for edge in edges {
            places.extend([edge.saturating_sub(1), edge, edge + 1].map(|at| Cut { way, at }));
            places.push(Cut { way, at: random.below(end as usize) as u64 });
        }
        // Behind the last byte there is nothing to cut.
        places.retain(|cut| cut.way != way || cut.at < end);
    }
    places
}

/// So many cases of a site: its edges and places between, or a sample of them, and others if there are not enough.
fn cases(site: &Site, wanted: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for operation in Operation::ALL {
        cases.extend(places(site, operation).into_iter().map(|cut| Case { operation, cut, asks_stock: false }));
    }
    let mut random = Random::new(gate::seed());
    let all = cases.len();
    if wanted < all {
        // A sample of them, the same under the same seed.
        for place in 0..wanted {
            let other = place + random.below(all - place);
            cases.swap(place, other);
        }
        cases.truncate(wanted);
    }
    while cases.len() < wanted {
        let operation = *random.pick(&Operation::ALL);
        let edges = site.edges(operation);
        let (way, edges) = if random.below(2) == 0 { (Way::There, &edges[0]) } else { (Way::Back, &edges[1]) };
        let at = random.below(edges.last().copied().expect("something was said") as usize) as u64;
        cases.push(Case { operation, cut: Cut { way, at }, asks_stock: false });
    }
    eprintln!("{} of {all} edges and places between, and {} others", wanted.min(all), wanted.saturating_sub(all));
    cases
}

fn try_cuts(server: &Server, wanted: usize) {
    eprintln!("{}:", server.name());
    let site = Site::new(server);
    let mut cases = cases(&site, wanted);
    for case in cases.iter_mut().step_by(20) {
        case.asks_stock = true;
    }
    gate::each(&cases, || (), |(), case| site.try_cut(case.operation, case.cut, case.asks_stock));
    eprintln!("{} of {} cuts were made", site.cuts(), cases.len());
    assert!(site.cuts() * 10 >= cases.len() * 9, "only {} of {} cuts were made", site.cuts(), cases.len());
}

#[test]
fn gate_cuts() {
    try_cuts(&Server::Ours, gate::amount(420, 20_000));
}

#[test]
fn gate_cuts_with_stock_at_the_end() {
    for borg in Borg::all().into_iter().chain(Borg::old()) {
        try_cuts(&Server::Stock(Box::new(borg)), gate::amount(30, 5_000));
    }
}
