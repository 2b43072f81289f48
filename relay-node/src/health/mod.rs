//! Whether this relay is ready, and how busy it is.
//!
//! What must not live here: which channels fail (that is `plan`).

mod load;

use sluice_telemetry::health::Ops;

pub use self::load::{InFlight, Load, LoadReading};
use crate::link::Standing;
use crate::spool::Spool;
use crate::view::View;

/// Adds the conditions of being ready: a configuration in force, from a control plane met in this life or from the disk; a spool that can
/// be written; and a control plane met in this life, or leases of an earlier one (ruling R17). Never that the control plane is there at
/// this moment: a relay without it goes on serving.
#[must_use]
pub fn ready_when(ops: Ops, view: &View, spool: &Spool, standing: &Standing) -> Ops {
    let (view, spool, standing, money) = (view.clone(), spool.clone(), standing.clone(), standing.clone());
    ops.ready_when("config", move || {
        let is_usable = view.is_usable() && (standing.is_registered() || standing.serves_last_good());
        std::future::ready(if is_usable { Ok(()) } else { Err("no configuration yet".to_owned()) })
    })
    .ready_when("spool", move || {
        let is_writable = spool.is_writable();
        std::future::ready(if is_writable { Ok(()) } else { Err("it cannot be written".to_owned()) })
    })
    .ready_when("money", move || {
        let may_pay = money.is_registered() || money.has_inherited();
        std::future::ready(if may_pay { Ok(()) } else { Err("no control plane was met and no lease is left".to_owned()) })
    })
}
