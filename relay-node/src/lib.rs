//! The relay node: authenticate, reserve, route, forward, stream, meter, report.
