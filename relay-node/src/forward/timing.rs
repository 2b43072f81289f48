//! How long things may take (relay-api.md §11.1).

use std::time::Duration;

/// The time limits of a request. The defaults are the documented ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// The longest silence of a caller while it sends its body.
    pub body_idle: Duration,
    /// All attempts together, of an answer that is not streamed. `None`: no limit.
    pub answer: Option<Duration>,
    /// All attempts together, up to the first output of a streamed answer. What follows has no such limit.
    pub first_output: Duration,
    /// To the first byte of a streamed answer, per attempt.
    pub first_byte: Duration,
    /// The longest silence of an upstream within a stream.
    pub stream_idle: Duration,
    /// Without anything to send, a stream's caller gets a first ping after this.
    pub first_ping: Duration,
    /// And further ones this far apart.
    pub ping_every: Duration,
    /// How long an upstream that has sent its last event may take to end the stream.
    pub trailing: Duration,
    /// How long an answer without its caller is read on, where its channel wants that.
    pub drain: Duration,
    /// How long an error's body is read for.
    pub error_body: Duration,
    /// The longest wait an upstream may ask for before another try.
    pub longest_wait: Duration,
    /// The first wait before another try on the same tier; it doubles.
    pub first_backoff: Duration,
    /// The longest of these waits.
    pub longest_backoff: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            body_idle: Duration::from_secs(30),
            answer: Some(Duration::from_mins(10)),
            first_output: Duration::from_mins(10),
            first_byte: Duration::from_mins(2),
            stream_idle: Duration::from_mins(5),
            first_ping: Duration::from_secs(20),
            ping_every: Duration::from_secs(15),
            trailing: Duration::from_secs(1),
            drain: Duration::from_secs(15),
            error_body: Duration::from_secs(10),
            longest_wait: Duration::from_secs(2),
            first_backoff: Duration::from_millis(50),
            longest_backoff: Duration::from_secs(1),
        }
    }
}
