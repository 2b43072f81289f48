//! An upstream whose answers come when a story is ready for them: nobody has to guess how long anything takes.

use sluice_testkit::client::{EventStream, Transcript};
use sluice_testkit::proxy::{Proxy, Way};
use sluice_testkit::simulator::Simulator;

/// What a simulator answers is held back until somebody lets it go. It hears what it is asked at once.
pub struct Held(Proxy);

impl Held {
    pub fn before(upstream: &Simulator) -> Self {
        let proxy = Proxy::start(upstream.addr());
        proxy.black_hole(Way::ToClient);
        Self(proxy)
    }

    pub fn base_url(&self) -> String {
        format!("http://{}", self.0.addr())
    }

    /// Everything that was answered comes, and what is answered from here on.
    pub fn let_go(&self) {
        self.0.heal();
    }

    /// All that comes to a caller who is pinged so often before anything is let go.
    pub async fn until_pinged(&self, mut stream: EventStream, times: usize) -> Transcript {
        for _ in 0..times {
            assert_eq!(stream.next().await.unwrap().unwrap().comments, ["PING"]);
        }
        self.let_go();
        stream.collect().await
    }
}
