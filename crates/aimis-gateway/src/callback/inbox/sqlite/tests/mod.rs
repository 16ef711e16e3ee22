//! What only a store on a disk can get wrong. What every store does is in `inbox::model`.

mod at_rest;
mod beside;
mod failing;
mod listed;
mod opening;
mod room;
