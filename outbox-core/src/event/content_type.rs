//! Which media types mean JSON, by the rule of the CloudEvents JSON format.

/// Whether data of this media type is JSON: `*/json` and `*/*+json`, in any case, parameters aside. Absent means JSON.
#[must_use]
pub fn is_json(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else {
        return true;
    };
    let Some((_, subtype)) = essence(content_type).split_once('/') else {
        return false;
    };
    ends_with_ignoring_case(subtype, "+json") || subtype.eq_ignore_ascii_case("json")
}

/// Whether data of this media type is text for people.
pub(super) fn is_text(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|given| {
        essence(given)
            .split_once('/')
            .is_some_and(|(family, _)| family.trim().eq_ignore_ascii_case("text"))
    })
}

/// The media type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn ends_with_ignoring_case(text: &str, end: &str) -> bool {
    text.len() >= end.len() && text.as_bytes()[text.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_recognised_by_its_essence() {
        for yes in [
            None,
            Some("application/json"),
            Some("application/JSON"),
            Some("text/json"),
            Some("application/vnd.x+json; charset=utf-8"),
            Some("application/json;charset=utf-8"),
            Some(" application/cloudevents+JSON "),
        ] {
            assert!(is_json(yes), "{yes:?}");
        }
        for no in [
            "",
            "json",
            "application/xml",
            "application/jsonp",
            "text/plain; a=application/json",
            "x/json+xml",
            "é/é",
        ] {
            assert!(!is_json(Some(no)), "{no:?}");
        }
    }

    #[test]
    fn text_is_the_family_text() {
        assert!(is_text(Some("Text/plain; charset=utf-8")));
        assert!(!is_text(Some("application/text")));
        assert!(!is_text(None));
    }
}
