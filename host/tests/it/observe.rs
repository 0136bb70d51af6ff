//! What the server lets be seen: read as those read it who watch.

mod audit;
mod health;
mod metrics;
mod traces;
