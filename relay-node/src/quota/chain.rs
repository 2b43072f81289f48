//! Who pays for a request, and in what.

use sluice_billing::lease::Claim;
use sluice_domain::{AccountId, Quota};
use smallvec::SmallVec;

/// Amounts on the accounts of one chain.
pub(super) type Claims = SmallVec<[Claim; 3]>;

/// The accounts that pay for a request. What is free of charge names neither wallet nor cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chain {
    /// What its user has.
    pub wallet: Option<AccountId>,
    /// What its token may still spend.
    pub cap: Option<AccountId>,
    /// How often its token may still be used.
    pub uses: Option<AccountId>,
}

/// What a request comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its price, paid by cap and wallet.
    pub quota: Quota,
    /// Whether somebody answered: then it is one use.
    pub is_answered: bool,
}

impl Chain {
    /// What is set aside: one use, and an amount of quota. The narrowest account comes first: whoever waits for a later one keeps what
    /// the earlier ones gave, so the wallet, which all tokens share, is kept from others last.
    pub(super) fn claims(self, amount: Quota) -> Claims {
        let uses = self.uses.map(|account| Claim { account, amount: Quota::clamped(1) });
        uses.into_iter().chain(self.in_quota(amount)).collect()
    }

    /// The same amount on every account that pays in quota.
    pub(super) fn in_quota(self, amount: Quota) -> Claims {
        self.cap.into_iter().chain(self.wallet).map(|account| Claim { account, amount }).collect()
    }

    /// What each account pays in the end.
    pub(super) fn dues(self, due: Due) -> Claims {
        let uses = Quota::clamped(i64::from(due.is_answered));
        let used = self.uses.map(|account| Claim { account, amount: uses });
        used.into_iter().chain(self.in_quota(due.quota)).collect()
    }
}
