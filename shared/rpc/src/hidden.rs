//! `Debug` of messages that hold secrets.

use std::fmt;

use crate::pb;

impl fmt::Debug for pb::Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}

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
        assert!(!format!("{key:?}").contains("sk-upstream"));
        let settings = r#"{"proxy":"http://u:hunter2@h"}"#.to_owned();
        let channel = format!("{:?}", pb::Channel { keys: vec![key], settings, ..pb::Channel::default() });
        assert!(!channel.contains("sk-upstream") && !channel.contains("hunter2"), "{channel}");
        let reply = pb::RegisterReply { token_digest_key: b"digestkey".to_vec().into(), ..pb::RegisterReply::default() };
        assert!(!format!("{reply:?}").contains("digestkey"));
    }
}
