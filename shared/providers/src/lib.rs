//! The provider catalogue: addresses, authentication, hooks: pure.
//!
//! A provider is a file in `catalog/`; [`Catalog::shipped`] holds them all. [`Provider::from_definition`] reads one that an administrator
//! described. [`Provider::call`] turns a channel's settings and a request
//! into a [`Target`]: where to send it, and with which headers. [`Provider::speaks`] says which interface the upstream is asked at,
//! [`Provider::adjust`] edits the body on the way there, [`Provider::amend`] the answer on the way back. What differs between providers is
//! data or a named [`Hook`], never an `if` on a slug.
//!
//! [`sign`] holds the ways to prove a key that are more than a header, [`event_stream`] the frames of AWS.

mod amend;
mod auth;
mod balance;
mod base_url;
mod capability;
mod catalog;
mod definition;
mod endpoint;
pub mod event_stream;
mod header_override;
mod hooks;
mod models;
mod param_override;
mod probe;
mod prove;
mod provider;
pub mod sign;
mod speaks;
mod target;

pub use amend::{Amended, Amender};
pub use auth::{Auth, AuthScheme};
pub use balance::{Amount, Balance, NoBalance, Used};
pub use base_url::{BaseUrl, BaseUrlError, BaseUrlMeaning};
pub use capability::Capability;
pub use catalog::{Catalog, CatalogError};
pub use definition::{DefinitionError, MAX_DEFINITION_BYTES};
pub use endpoint::{Gap, Plan, SpecialEndpoint, When};
pub use header_override::{HeaderOverride, HeaderOverrideError};
pub use hooks::{BedrockIds, BodyError, Dropped, Hook, ModelSuffix, RegionGroup, RerankUsage};
pub use models::{MAX_MODELS, ModelPage, NoModels};
pub use param_override::{OverrideContext, ParamOverride, ParamOverrideError};
pub use probe::Probe;
pub use provider::{BaseUrlRule, FieldName, FormField, Framing, HeaderRule, Provider, ProviderStatus, Versions};
pub use target::{CallError, ChannelAddress, ClientHints, StoredCall, Target};
