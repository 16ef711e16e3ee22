//! The gateway as a service of a machine: what its process gives away, what systemd hears, how it restarts, what a
//! reviewer is told, and the files that install it.

mod manager;
mod process;
mod reviewed;
mod sockets;
mod units;

use std::process::Command;

use aimis_simulator::Platform;

use crate::support::binary;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const PATH: &str = "/thirdparty/patientStudies/900001";

/// `serve` in front of `platform`, its token in the environment.
fn serve(platform: &Platform) -> Command {
    let mut command = binary::command(&["serve"]);
    command
        .env("AIMIS_APP_ID", "900001")
        .env("AIMIS_TOKEN", TOKEN)
        .env("AIMIS_LAN__LISTEN", "127.0.0.1:0")
        .env("AIMIS_TELEMETRY__LISTEN", "127.0.0.1:0")
        .env("AIMIS_PLATFORM__BASE_URL", platform.base_url());
    command
}
