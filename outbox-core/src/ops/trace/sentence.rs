//! Pure: a step, for people: what happened and why.

use super::step::Step;

impl Step {
    /// What happened, where, and for what reason, in one line.
    #[must_use]
    pub fn sentence(&self) -> String {
        let said = match self.step.as_str() {
            "appended" => self.appended(),
            "cut" => format!(
                "batch {}, id {}, by the leader of epoch {}",
                self.shown("batch"),
                self.shown("batch_id"),
                self.shown("epoch")
            ),
            "reissued" => format!(
                "put on its stream again by batch {}, id {}: entry {} was missing, said {}",
                self.shown("batch"),
                self.shown("batch_id"),
                self.shown("missing"),
                self.shown("asked_by")
            ),
            "stored" => format!(
                "version {} of a stream of category {}",
                self.shown("version"),
                self.shown("category")
            ),
            "private" => format!(
                "version {} of a stream of category {}, and private: it goes to no topic",
                self.shown("version"),
                self.shown("category")
            ),
            "uncut" => "committed, and in no batch yet: a relay is about to cut it, or none leads".to_owned(),
            "forgotten" => "its batch is older than what the ledger still holds".to_owned(),
            "published" => self.published(),
            "unpublished" => format!("given up before it was published, by {}", self.shown("actor")),
            "unsent" => self.unsent(),
            "failed" => format!("attempt {} failed: {}", self.shown("number"), self.shown("class")),
            "applied" => format!("its effect was committed; {}", self.entry()),
            "skipped" => format!("no handler for its type; {}", self.entry()),
            "parked" => self.parked(),
            "dead" => self.dead(),
            "edited" => format!(
                "dead letter {} was given other data by {}",
                self.shown("letter"),
                self.shown("actor")
            ),
            "discarded" => format!(
                "dead letter {} was discarded by {}",
                self.shown("letter"),
                self.shown("actor")
            ),
            "redriven" => self.redriven(),
            "caused" => format!(
                "event {} of type {} on topic {}, position {}",
                self.shown("id"),
                self.shown("type"),
                self.shown("topic"),
                self.shown("position")
            ),
            other => other.to_owned(),
        };
        match self.text("error").or_else(|| self.text("reason")) {
            Some(why) => format!("{said}: {}", why.lines().next().unwrap_or_default()),
            None => said,
        }
    }

    /// A detail as text; a question mark where it is not known.
    fn shown(&self, name: &str) -> String {
        match self.detail.get(name) {
            None | Some(serde_json::Value::Null) => "?".to_owned(),
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    fn entry(&self) -> String {
        format!(
            "entry {} of stream {}",
            self.shown("entry_id"),
            self.shown("stream")
        )
    }

    fn appended(&self) -> String {
        let place = match self.text("topic") {
            Some(topic) => format!("position {} of topic {topic}", self.shown("position")),
            None => format!("position {}, for no topic", self.shown("position")),
        };
        let mut said = format!(
            "{place}, type {}, source {}",
            self.shown("type"),
            self.shown("source")
        );
        if let Some(cause) = self.text("causation_id") {
            said += &format!("; caused by event {cause}");
        }
        said
    }

    fn published(&self) -> String {
        let now = match self.text("presence") {
            Some("present") => "; it is there",
            Some("trimmed") => "; trimmed since",
            Some("missing") => "; it is not there any more: the stream lost it, or somebody deleted it",
            _ => "",
        };
        format!("{}, confirmed by then{now}", self.entry())
    }

    fn unsent(&self) -> String {
        match self.text("state") {
            Some("set_aside") => format!(
                "stream {} was set aside and waits for a person",
                self.shown("stream")
            ),
            Some(_) => format!(
                "stream {} is not taken by Redis, the relay tries again",
                self.shown("stream")
            ),
            None => format!("cut, and not confirmed on stream {} yet", self.shown("stream")),
        }
    }

    fn parked(&self) -> String {
        let mut said = match self.text("state") {
            Some("retrying") => format!("tried again at {}", self.shown("due_at")),
            Some("waiting_version") => "waits until a member knows its version".to_owned(),
            Some("dead") => format!("waits behind dead letter {}", self.shown("behind_letter")),
            Some("draining") => "going back to its handler".to_owned(),
            _ => "waits in its lane".to_owned(),
        };
        if let Some(ahead) = self.number("ahead").filter(|ahead| *ahead > 0) {
            said += &format!(", {ahead} of its key before it");
        }
        format!("{said}; {}", self.entry())
    }

    fn dead(&self) -> String {
        format!(
            "dead letter {} after {} attempts ({}), {}, {} now; {}",
            self.shown("letter"),
            self.shown("attempts"),
            self.shown("kind"),
            self.shown("class"),
            self.shown("state"),
            self.entry()
        )
    }

    fn redriven(&self) -> String {
        format!(
            "operation {} ({}) asked for by {}, {} now, this letter {}",
            self.shown("operation"),
            self.shown("kind"),
            self.shown("actor"),
            self.shown("state"),
            self.shown("item")
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(name: &str, detail: serde_json::Value) -> String {
        let detail = detail.as_object().cloned().unwrap_or_default();
        Step {
            at: None,
            consumer: None,
            database: String::new(),
            step: name.to_owned(),
            detail,
        }
        .sentence()
    }

    #[test]
    fn a_step_says_what_happened_and_why() {
        let appended =
            json!({ "position": 7, "topic": "t", "type": "x", "source": "/s", "causation_id": "e1" });
        assert_eq!(
            step("appended", appended),
            "position 7 of topic t, type x, source /s; caused by event e1"
        );
        let gone = json!({ "entry_id": "9-7", "stream": "outbox:t", "presence": "trimmed" });
        assert_eq!(
            step("published", gone),
            "entry 9-7 of stream outbox:t, confirmed by then; trimmed since"
        );
        let failed = json!({ "number": 2, "class": "23505", "error": "no such order\nbacktrace" });
        assert_eq!(step("failed", failed), "attempt 2 failed: 23505: no such order");
        let parked =
            json!({ "state": "dead", "behind_letter": 4, "ahead": 2, "entry_id": "9-7", "stream": "s" });
        assert_eq!(
            step("parked", parked),
            "waits behind dead letter 4, 2 of its key before it; entry 9-7 of stream s"
        );
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        assert_eq!(
            step("cut", json!({ "batch": 3 })),
            "batch 3, id ?, by the leader of epoch ?"
        );
        assert_eq!(step("something new", json!({})), "something new");
    }
}
