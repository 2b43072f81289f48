//! Which half answers a path: the one table that `sluice`, the chart and the compose file are built from.

/// A half of Sluice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Half {
    /// The control plane: `/api`, the console, balance pages of the family.
    ControlPlane,
    /// A relay: everything programs call.
    Relay,
}

/// Prefixes of paths, longest first, and who answers them. A prefix matches whole segments; every other path is a page of the console.
pub const PREFIXES: [(&str, Half); 12] = [
    ("/v1/dashboard", Half::ControlPlane),
    ("/mj-fast/mj", Half::Relay),
    ("/mj-relax/mj", Half::Relay),
    ("/mj-turbo/mj", Half::Relay),
    ("/v1beta", Half::Relay),
    ("/rerank", Half::Relay),
    ("/v1", Half::Relay),
    ("/v2/rerank", Half::Relay),
    ("/mj", Half::Relay),
    ("/suno", Half::Relay),
    ("/kling", Half::Relay),
    ("/jimeng", Half::Relay),
];

/// Which half answers a path.
#[must_use]
pub fn half_of(path: &str) -> Half {
    let under = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    PREFIXES.iter().find(|(prefix, _)| under(prefix)).map_or(Half::ControlPlane, |(_, half)| *half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_go_to_relays_and_people_to_the_control_plane() {
        for path in
            ["/v1/chat/completions", "/v1", "/v1beta/models", "/mj/submit/imagine", "/mj-fast/mj/submit/imagine", "/rerank"]
        {
            assert_eq!(half_of(path), Half::Relay, "{path}");
        }
        for path in ["/", "/api/status", "/v1/dashboard/billing/usage", "/dashboard/billing/usage", "/setup", "/v10", "/mjx"] {
            assert_eq!(half_of(path), Half::ControlPlane, "{path}");
        }
    }
}
