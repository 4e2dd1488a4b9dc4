//! Pure: whose a topic is at the sink, where the sink tells of a layout that this ledger never laid.
//!
//! A layout does not name its database, the marks beside the topic's streams do. A mark of ours: the topic grew in a time that this
//! database has lost. None of ours: another database has the topic, and this one must not stop for it.

use super::sink::{Marked, is_elsewhere};
use crate::tail::StreamId;
use crate::tail::layout::streams;

/// A topic has no more partitions than this.
const PARTITIONS_AT_MOST: u16 = 1024;

/// Whose a topic is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This database has published it.
    Ours,
    /// Another database has, or nobody yet.
    NotOurs,
    /// A mark cannot be read, and no other one says.
    Unsaid(String),
}

/// The streams that a topic has by a layout as it was found: those of every generation.
pub(super) fn told_streams(topic: &str, found: &str) -> Vec<StreamId> {
    let most = found
        .split(',')
        .filter_map(|generation| generation.split('@').next()?.parse().ok())
        .max()
        .unwrap_or(1);
    let mut told = vec![StreamId::whole(topic)];
    if most > 1 {
        told.extend(streams(topic, most.min(PARTITIONS_AT_MOST)));
    }
    told
}

/// Judges by the marks beside those streams. One of another database says that the topic has another writer, whatever else is there.
pub(super) fn owner(marks: &[Marked], ours: &str) -> Owner {
    let (mut is_ours, mut unsaid) = (false, None);
    for marked in marks {
        match marked {
            Marked::By(mark) if mark.database_id == ours || is_elsewhere(&mark.database_id, ours) => {
                is_ours = true
            }
            Marked::By(_) => return Owner::NotOurs,
            Marked::Unreadable(why) => unsaid = Some(why),
            Marked::Never => {}
        }
    }
    match unsaid {
        _ if is_ours => Owner::Ours,
        Some(why) => Owner::Unsaid(why.clone()),
        None => Owner::NotOurs,
    }
}

/// Why a topic is refused to this database.
pub(super) fn not_ours(key: &str, found: &str) -> String {
    format!(
        "{key} says {found}, which this ledger never laid, and no mark beside the topic's streams is of this database: another database \
         publishes the topic here; set outbox.settings.writer in one of them so that each has its own streams, or delete the key if it is \
         nobody's, and resume the topic"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::Mark;

    fn by(database_id: &str) -> Marked {
        Marked::By(Mark {
            batch_id: 7,
            database_id: database_id.to_owned(),
            epoch: 1,
            retention: 0,
        })
    }

    #[test]
    fn a_topic_is_ours_where_a_mark_of_ours_and_none_of_another_stands_beside_it() {
        let ours = "a-b/7";
        let unread = || Marked::Unreadable("not a mark".to_owned());
        assert_eq!(owner(&[Marked::Never, Marked::Never], ours), Owner::NotOurs);
        assert_eq!(owner(&[Marked::Never, by(ours)], ours), Owner::Ours);
        assert_eq!(
            owner(&[by("a-b/5")], ours),
            Owner::Ours,
            "from before it was moved"
        );
        assert_eq!(owner(&[by(ours), by("a-c/7")], ours), Owner::NotOurs);
        assert_eq!(owner(&[unread(), by(ours)], ours), Owner::Ours);
        assert_eq!(owner(&[unread(), by("a-c/7")], ours), Owner::NotOurs);
        assert!(matches!(
            owner(&[Marked::Never, unread()], ours),
            Owner::Unsaid(_)
        ));
    }

    #[test]
    fn a_layout_tells_of_the_streams_of_every_generation() {
        let told: Vec<String> = told_streams("t", "1@0,2@17,3@23")
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(told, ["t", "t:0", "t:1", "t:2"]);
        assert_eq!(told_streams("t", "1@0").len(), 1);
        assert_eq!(told_streams("t", "65535@1").len(), 1025);
    }
}
