//! The service in a process of its own, to be killed.

use std::path::Path;
use std::process::Stdio;

use filot::document::UserId;
pub(crate) use filot::selftest::child::Service;

use super::app::Deployment;

/// Starts a child on `deployment`. `failpoint` is `name:nth`, where it is to abort.
pub(crate) fn start(deployment: &Deployment, user: UserId, failpoint: Option<&str>) -> Service {
    let program = Path::new(env!("CARGO_BIN_EXE_filot"));
    Service::start(program, &deployment.environment(), user, failpoint, Stdio::null()).unwrap()
}
