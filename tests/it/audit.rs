//! The audit trail: every look at a patient leaves a record, and no record can be changed unseen.

mod bed;
mod disk;
mod reading;
mod roads;
mod syslog;
