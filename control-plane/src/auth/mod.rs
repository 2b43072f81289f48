//! Who acts: people by session, scripts by management token, and jobs by themselves.
//!
//! What lives here: passwords, sessions, set-up and the first start, management tokens, and [`identify`], which every request of the
//! API goes through. What must not: what an actor may do with an object; that is decided in the operation of its feature.

mod actor;
mod api;
mod first_run;
mod identify;
pub mod management;
mod passwords;
mod session_store;
mod set_up;
mod sign_in;
mod site_store;

pub use actor::{Actor, Denied, Scope};
pub use api::{Session, routes};
pub(crate) use first_run::first_run_problems;
pub use first_run::{FirstRun, FirstRunError, first_run};
pub use identify::{Identity, identify};
pub use passwords::{PasswordRule, Passwords, check_password};
pub(crate) use session_store::session_cookie;
pub use session_store::{COOKIE, SESSION_MILLIS, SessionRows, end_sessions, session_layer};
pub use set_up::{NewRoot, SETUP_PATH, is_set_up, set_up};
pub use sign_in::sign_in;
