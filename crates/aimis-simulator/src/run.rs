//! Everything at once, for `aimis-gateway simulate` and `demo`: platform, HIS and control port.

use crate::control::Control;
use crate::his::His;
use crate::platform::{Platform, PlatformOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// What to run.
#[derive(Clone)]
pub struct RunOptions {
    /// The platform. Its `control` is the control port's address, which then covers the HIS too.
    pub platform: PlatformOptions,
    /// Where the HIS listens; `None` runs without one.
    pub his: Option<SocketAddr>,
    /// Trust for callbacks that the control port is asked to send to `https://` addresses.
    pub callback_tls: Option<Arc<rustls::ClientConfig>>,
}

impl Default for RunOptions {
    /// All on free loopback ports.
    fn default() -> Self {
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            platform: PlatformOptions {
                control: Some(free),
                ..PlatformOptions::default()
            },
            his: Some(free),
            callback_tls: None,
        }
    }
}

/// What runs; all of it stops on drop.
pub struct Running {
    /// The platform.
    pub platform: Platform,
    /// The HIS, if one was asked for.
    pub his: Option<His>,
    control: Option<Control>,
}

impl Running {
    /// The control port's address, if there is one.
    #[must_use]
    pub fn control_addr(&self) -> Option<SocketAddr> {
        self.control.as_ref().map(Control::addr)
    }

    /// Stops all, and returns when the ports are free again.
    pub async fn stop(self) {
        if let Some(control) = self.control {
            control.stop().await;
        }
        self.platform.stop().await;
        if let Some(his) = self.his {
            his.stop().await;
        }
    }
}

/// Starts what the options ask for, on the runtime that runs this call.
///
/// # Errors
/// When an address cannot be bound, or the control port is not on loopback; nothing is left running then.
pub async fn run(options: RunOptions) -> io::Result<Running> {
    let control = options.platform.control;
    let platform = Platform::start(PlatformOptions {
        control: None,
        ..options.platform
    })
    .await?;
    let his = match options.his {
        Some(listen) => Some(His::start(listen).await?),
        None => None,
    };
    let control = match control {
        Some(listen) => {
            let his = his.as_ref().map(|his| his.state().clone());
            Some(Control::start(listen, platform.state().clone(), his, options.callback_tls).await?)
        }
        None => None,
    };
    Ok(Running { platform, his, control })
}
