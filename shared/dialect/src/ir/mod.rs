//! What a request and its answer say, in no dialect: every foreign pair is *read → IR → write*, in one hop.
//!
//! A codec turns its protocol into these types and these types into its protocol, and knows no other codec. Nothing here is a wire
//! format: texts are text, tool arguments are objects, bytes are bytes. What only one dialect can say and the others need not know is kept
//! as [`Request::native`], with what becomes of it elsewhere.
//!
//! Start with [`Request`], then [`Response`], and [`Event`] for streams; [`Losses`](crate::loss::Losses) says what a target cannot say.

mod answer;
mod blocks;
mod content;
mod event;
pub mod fold;
pub mod normalise;
pub mod order;
pub mod replay;
mod request;

pub use answer::{Choice, Finish, Response, TokenLogprob};
pub use blocks::{Blocks, media};
pub use content::{Arguments, Block, CacheMark, Detail, Family, MediaKind, Role, Signature, Source, Turn};
pub use event::{BlockStart, Event, StreamError};
pub use request::{
    AudioOut, Effort, Modality, NativeField, OutputFormat, Reasoning, ReasoningMode, Request, ServiceTier, Show, Tool,
    ToolChoice, Verbosity,
};
