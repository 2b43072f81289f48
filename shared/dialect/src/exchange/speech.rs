//! What an upstream speaks: one of callers' dialects, or a vendor's own protocol.

use std::borrow::Cow;

use super::codecs::{Codec, Reader};
use crate::codec::{AnswerError, Reading, Written};
use crate::ir::normalise::for_target;
use crate::ir::{Request, Response};
use crate::loss::{Losses, Unsupported};
use crate::surface::Surface;
use crate::target::Target;
use crate::vendor::{self, Answers, Vendor};

/// What an upstream speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    /// One of callers' dialects.
    Dialect(Codec),
    /// A vendor's own protocol.
    Vendor(Vendor),
}

impl Speech {
    /// What is spoken at a surface; `None` where it is no conversation.
    pub(super) const fn of(surface: Surface) -> Option<Self> {
        match (surface, Codec::of(surface)) {
            (Surface::Vendor(vendor), _) => Some(Self::Vendor(vendor)),
            (_, Some(codec)) => Some(Self::Dialect(codec)),
            (_, None) => None,
        }
    }

    pub(super) const fn surface(self) -> Surface {
        match self {
            Self::Dialect(codec) => codec.surface(),
            Self::Vendor(vendor) => Surface::Vendor(vendor),
        }
    }

    /// In which form answers come.
    pub(super) const fn answers(self) -> Answers {
        match self {
            Self::Dialect(_) => Answers::AsAsked,
            Self::Vendor(vendor) => vendor.answers(),
        }
    }

    /// Writes a request, in the form that is taken there.
    pub(super) fn write_request(
        self,
        request: &Request,
        target: &Target<'_>,
        losses: &mut Losses<'_>,
    ) -> Result<Written, Unsupported> {
        match self {
            Self::Dialect(codec) => codec.write_request(request, target, losses),
            Self::Vendor(vendor) => {
                let request = for_target(request, self.surface().dialect(), target.capabilities);
                vendor.write(&request, target, losses)
            }
        }
    }

    /// Reads a whole answer.
    pub(super) fn read_response(self, body: &[u8], reading: &mut Reading) -> Result<Response, AnswerError> {
        match self {
            Self::Dialect(codec) => codec.read_response(body, reading),
            Self::Vendor(vendor) => vendor.read(body, reading),
        }
    }

    /// What reads a stream.
    pub(super) fn reader(self, reading: Reading) -> Reader {
        match self {
            Self::Dialect(codec) => Reader::new(codec, reading),
            Self::Vendor(vendor) => Reader::Vendor(Box::new(vendor::Reader::new(vendor, reading))),
        }
    }

    /// An error in an answer with status 200, in a form that every dialect's errors have.
    pub(super) fn error_body(self, body: &[u8]) -> Cow<'_, [u8]> {
        match self {
            Self::Dialect(_) => Cow::Borrowed(body),
            Self::Vendor(vendor) => vendor.error_body(body),
        }
    }
}
