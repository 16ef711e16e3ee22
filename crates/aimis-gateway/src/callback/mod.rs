//! The callback road, platform to HIS: what the platform tells is kept before it is acknowledged.
//!
//! | file | is about |
//! |---|---|
//! | `event` | an event on its way: ids, keyed tags, what is known of its sender |
//! | `inbox` | where events are kept until the HIS has them |
//! | `deliver` | how they get there |

pub mod deliver;
pub mod event;
pub mod inbox;
