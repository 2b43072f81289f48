//! Where a sealed secret stands. It is part of the seal: moved to another row, a secret does not open.

/// A cell of the database: table, column and row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    table: &'a str,
    column: &'a str,
    row: Row<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Row<'a> {
    Id(i64),
    Name(&'a str),
}

impl<'a> Place<'a> {
    /// A cell in a row known by its number.
    #[must_use]
    pub const fn row(table: &'a str, column: &'a str, id: i64) -> Self {
        Self { table, column, row: Row::Id(id) }
    }

    /// A cell in a row known by a text that never changes.
    #[must_use]
    pub const fn named(table: &'a str, column: &'a str, name: &'a str) -> Self {
        Self { table, column, row: Row::Name(name) }
    }

    /// The associated data. Every part carries its length, so that no two places read alike.
    pub(crate) fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(64);
        push(&mut data, self.table.as_bytes());
        push(&mut data, self.column.as_bytes());
        match self.row {
            Row::Id(id) => {
                data.push(b'#');
                data.extend_from_slice(&id.to_be_bytes());
            }
            Row::Name(name) => {
                data.push(b'=');
                push(&mut data, name.as_bytes());
            }
        }
        data
    }
}

fn push(data: &mut Vec<u8>, part: &[u8]) {
    let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
    data.extend_from_slice(&length.to_be_bytes());
    data.extend_from_slice(part);
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn no_two_places_have_the_same_associated_data() {
        let places = [
            Place::row("tokens", "key", 1),
            Place::row("tokens", "key", 2),
            Place::row("tokens", "keys", 1),
            Place::row("token", "skey", 1),
            Place::named("tokens", "key", "1"),
            Place::named("tokens", "key", "\0\0\0\0\0\0\0\u{1}"),
        ];
        for (at, place) in places.iter().enumerate() {
            for other in &places[at + 1..] {
                assert_ne!(place.associated_data(), other.associated_data(), "{place:?} and {other:?}");
            }
        }
    }
}
