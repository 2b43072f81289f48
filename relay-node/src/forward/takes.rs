//! What models take by the site's own table: read once, and again when the setting changes.

use std::sync::Arc;

use parking_lot::RwLock;
use sluice_dialect::capabilities::Table;
use tracing::warn;

/// The table in force.
#[derive(Debug, Default)]
pub(super) struct Takes(RwLock<Option<Read>>);

#[derive(Debug)]
struct Read {
    text: Arc<str>,
    table: Arc<Table>,
}

impl Takes {
    /// The table of a text. One that cannot be read has no rows: the control plane takes none, so it is of a later version.
    pub(super) fn table(&self, text: &Arc<str>) -> Arc<Table> {
        if let Some(read) = self.0.read().as_ref().filter(|read| Arc::ptr_eq(&read.text, text)) {
            return Arc::clone(&read.table);
        }
        let table = Arc::new(Table::read_json(text).unwrap_or_else(|error| {
            warn!("the setting model_capabilities cannot be read, and nothing in it counts: {error}");
            Table::default()
        }));
        *self.0.write() = Some(Read { text: Arc::clone(text), table: Arc::clone(&table) });
        table
    }
}

#[cfg(test)]
mod tests {
    use sluice_domain::Dialect;

    use super::*;

    #[test]
    fn a_changed_text_is_read_and_the_same_is_not_read_again() {
        let takes = Takes::default();
        let text: Arc<str> = r#"{"model": [{"names": ["m"], "takes": {"images": false}}]}"#.into();
        let first = takes.table(&text);
        assert!(!first.find("m", Dialect::OpenAi).unwrap().images);
        assert!(Arc::ptr_eq(&first, &takes.table(&text)));
        assert_eq!(*takes.table(&"".into()), Table::default());
        assert_eq!(*takes.table(&"{".into()), Table::default());
    }
}
