//! A repository on another machine: each step on the way there, and what is at its end.

use worldkeeper_core::Stop;
use worldkeeper_remote::ssh::{Probe, Step};
use worldkeeper_remote::{ConnectError, RemoteLocation};

use super::repository;
use super::verdict::Check;
use crate::place::Place;

const SERVER: &str = "server";

/// What `borg serve` answers no question about.
const KEPT: [&str; 3] = ["quota", "append-only", "free space"];

/// Looks at the repository behind a server.
pub(super) fn checks(place: &Place, location: &RemoteLocation, stop: &Stop) -> Vec<Check> {
    let probed = match place.probe(location, stop) {
        Ok(Some(probe)) => steps(probe),
        Ok(None) => {
            let rsh = place.settings.remote.rsh.origin;
            Ok(Step::ALL
                .map(|step| Check::unknown(name(step), format!("the command in {rsh} keeps it to itself")))
                .into())
        }
        Err(error) => Err(vec![Check::error(name(Step::Name), &error)]),
    };
    let mut checks = match probed {
        Ok(checks) => checks,
        Err(checks) => return and_no_more(checks),
    };
    match place.server_version(location, stop) {
        Ok(version) => checks.push(Check::ok(SERVER, format!("it is borg {version}, or speaks like it"))),
        Err(error) => {
            // Who could not even begin knows why.
            let known =
                anyhow::Chain::new(&error).find_map(|cause| cause.downcast_ref::<ConnectError>()?.remedy.clone());
            let remedy = known.unwrap_or_else(|| NO_SERVER.to_owned());
            checks.push(Check { remedy: Some(remedy), ..Check::error(SERVER, &error) });
            return and_no_more(checks);
        }
    }
    checks.extend(repository::checks(place, stop, |_| Vec::new()));
    checks.extend(KEPT.map(|name| Check::unknown(name, "borg serve does not tell")));
    checks
}

const NO_SERVER: &str = "see that borg is installed there, or named by BORG_REMOTE_PATH; that the line in `authorized_keys` \
                         forces nothing else; and that nothing is printed at login there";

/// What was found at each step; an error if one failed.
fn steps(probe: Probe) -> Result<Vec<Check>, Vec<Check>> {
    let mut checks: Vec<_> = probe.passed.into_iter().map(|(step, found)| Check::ok(name(step), found)).collect();
    match probe.failed {
        None => Ok(checks),
        Some((step, error)) => {
            // Which step it was says more than what is said of connections in general.
            let remedy = error.remedy.clone().unwrap_or_else(|| remedy(step).to_owned());
            checks.push(Check { remedy: Some(remedy), ..Check::error(name(step), &error) });
            Err(checks)
        }
    }
}

/// Adds all that is not tried because the last one has failed.
fn and_no_more(mut checks: Vec<Check>) -> Vec<Check> {
    let all = Step::ALL.map(name).into_iter().chain([SERVER]).chain(repository::ALL).chain(KEPT);
    let rest: Vec<_> = all.skip(checks.len()).map(|name| Check::not_tried(name, "the way there is not open")).collect();
    checks.extend(rest);
    checks
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Name => "name",
        Step::Port => "port",
        Step::HostKey => "host key",
        Step::Login => "login",
    }
}

/// What to do where the error does not say.
fn remedy(step: Step) -> &'static str {
    match step {
        Step::Name => {
            "see that the host is written as it is called, and that names are resolved here: in a container, by its DNS"
        }
        Step::Port => "see that the machine is up, that sshd listens on that port, and that no firewall is between",
        Step::HostKey => "see that it is sshd that listens on that port",
        Step::Login => "see what the log of sshd there says of it",
    }
}
