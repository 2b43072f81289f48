//! The control plane: users, tokens, channels, prices, the ledger and the console.
