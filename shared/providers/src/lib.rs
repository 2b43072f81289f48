//! The provider catalogue: addresses, authentication, hooks: pure.
//!
//! A provider is a file in `catalog/`; [`Catalog::shipped`] holds them all. [`Provider::call`] turns a channel's settings and a request
//! into a [`Target`]: where to send it, and with which headers. What differs between providers is data or a named [`Hook`], never an
//! `if` on a slug.

mod base_url;
mod catalog;
mod provider;
mod target;

pub use base_url::{BaseUrl, BaseUrlError, BaseUrlMeaning};
pub use catalog::{Catalog, CatalogError};
pub use provider::{Auth, AuthScheme, BaseUrlRule, Capability, FieldName, FormField, Hook, Provider, Versions};
pub use target::{CallError, ChannelAddress, ClientHints, Target};
