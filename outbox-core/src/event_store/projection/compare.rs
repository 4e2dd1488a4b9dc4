//! Pure: what differs between two builds of the same tables.

/// A table in one of the schemas: how many rows, and a checksum that does not depend on their order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Contents {
    pub(super) rows: i64,
    pub(super) checksum: String,
}

/// A table as it is live, and as it was built anew; none: it is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) table: String,
    pub(super) live: Option<Contents>,
    pub(super) next: Option<Contents>,
}

/// The tables that differ, each with what differs. Empty: none does.
pub(super) fn differences(pairs: &[Pair]) -> Vec<String> {
    pairs.iter().filter_map(difference).collect()
}

fn difference(pair: &Pair) -> Option<String> {
    let table = &pair.table;
    match (&pair.live, &pair.next) {
        (Some(live), Some(next)) if live.rows != next.rows => Some(format!(
            "{table} has {} rows, and {} built anew",
            live.rows, next.rows
        )),
        (Some(live), Some(next)) if live.checksum != next.checksum => Some(format!(
            "{table} has as many rows ({}), with other contents",
            live.rows
        )),
        (Some(_), None) => Some(format!("{table} is not there any more")),
        (None, Some(next)) => Some(format!("{table} is new, with {} rows", next.rows)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_that_differs_is_named() {
        let contents = |rows, checksum: &str| {
            Some(Contents {
                rows,
                checksum: checksum.to_owned(),
            })
        };
        let pair = |table: &str, live, next| Pair {
            table: table.to_owned(),
            live,
            next,
        };
        let told = differences(&[
            pair("same", contents(3, "7"), contents(3, "7")),
            pair("more", contents(3, "7"), contents(4, "9")),
            pair("other", contents(3, "7"), contents(3, "8")),
            pair("gone", contents(1, "1"), None),
            pair("fresh", None, contents(2, "2")),
        ]);
        assert_eq!(told.len(), 4);
        assert!(told[0].starts_with("more has 3 rows, and 4"), "{told:?}");
    }
}
