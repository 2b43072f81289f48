//! What a person reads after starting Sluice.

use std::io::{IsTerminal, Write};

use tracing::info;

/// Tells where everything is. On a terminal it is set off from the log lines.
pub(crate) fn tell(port: u16, setup_path: Option<&str>, database: &str, has_demo: bool) {
    let address = format!("http://localhost:{port}");
    let mut lines = vec![format!("Sluice is running on {address}"), format!("  base URL for SDKs   {address}/v1")];
    match setup_path {
        Some(path) => lines.push(format!("  set it up, once     {address}{path}")),
        None => lines.push(format!("  console             {address}/")),
    }
    if has_demo {
        lines.push("  demo channel        model `demo`, answered by the provider simulator".to_owned());
    }
    lines.push(format!("  data                {database}"));
    if std::io::stdout().is_terminal() {
        // nothing is lost when standard output is gone
        let _ = writeln!(std::io::stdout(), "\n{}\n", lines.join("\n"));
        return;
    }
    for line in lines {
        info!("{line}");
    }
}
