//! What a request costs, what is held for it, and the lease book: pure.
