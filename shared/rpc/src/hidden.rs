//! `Debug` of messages that hold secrets.

use std::fmt;

use crate::pb;

impl fmt::Debug for pb::ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelKey").field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

impl fmt::Debug for pb::RegisterReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisterReply").field("lineage", &self.lineage).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_with_secrets_show_none() {
        let key = pb::ChannelKey { id: 1, secret: "sk-upstream".into(), status: 1 };
        let channel = pb::Channel { keys: vec![key], ..pb::Channel::default() };
        assert!(!format!("{channel:?}").contains("sk-upstream"));
        let reply = pb::RegisterReply { token_digest_key: b"digestkey".to_vec().into(), ..pb::RegisterReply::default() };
        assert!(!format!("{reply:?}").contains("digestkey"));
    }
}
