//! Wire protocols: OpenAI Chat and its relatives, event streams, usage: pure.
