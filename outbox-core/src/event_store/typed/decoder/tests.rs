use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::*;
use crate::event_store::typed::EventType;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
enum Order {
    #[serde(rename = "order.settled")]
    Settled { cents: u64, currency: String },
    #[serde(rename = "order.closed")]
    Closed,
}

impl TypedEvent for Order {
    const TYPES: &'static [EventType] = &[
        EventType::new("order.settled", 2),
        EventType::new("order.closed", 1),
    ];

    fn upcasters() -> Upcasters {
        Upcasters::none()
            .upcast("order.paid", 1, |mut data| {
                let euros = data["euros"].as_u64().ok_or("no euros")?;
                data["cents"] = (euros * 100).into();
                Ok(data)
            })
            .upcast_to("order.paid", 2, "order.settled", 1, Ok)
            .upcast("order.settled", 1, |mut data| {
                data["currency"] = "EUR".into();
                Ok(data)
            })
    }
}

fn decoder() -> Decoder<Order> {
    Decoder::new().expect("coherent")
}

#[test]
fn versions_are_chained_over_a_new_name() {
    let settled = Order::Settled {
        cents: 1200,
        currency: "EUR".to_owned(),
    };
    for (name, version, data) in [
        ("order.paid", None, r#"{"euros":12}"#),
        ("order.paid", Some("1"), r#"{"euros":12}"#),
        ("order.paid", Some("2"), r#"{"cents":1200}"#),
        ("order.settled", Some("1"), r#"{"cents":1200}"#),
        ("order.settled", Some("2"), r#"{"cents":1200,"currency":"EUR"}"#),
    ] {
        let decoded = decoder().decode_data(name, version, Some(data)).expect(name);
        assert_eq!(decoded, settled, "{name} {version:?}");
    }
    assert_eq!(
        decoder().decode_data("order.closed", None, None).expect("closed"),
        Order::Closed
    );
}

#[test]
fn what_nobody_knows_is_an_error_of_its_own_kind() {
    let fault = |name: &str, version: &str, data: &str| {
        decoder()
            .decode_data(name, Some(version), Some(data))
            .expect_err("unreadable")
    };
    assert_eq!(fault("order.lost", "1", "{}"), Fault::UnknownType);
    assert_eq!(fault("order.settled", "3", "{}"), Fault::TooNew { known: 2 });
    assert_eq!(fault("order.paid", "3", "{}"), Fault::TooNew { known: 2 });
    assert_eq!(fault("order.settled", "0", "{}"), Fault::NoVersion);
    assert_eq!(fault("order.settled", "1.5", "{}"), Fault::NoVersion);
    let said = fault("order.paid", "1", r#"{"secret":1}"#);
    assert!(
        matches!(&said, Fault::Upcast { said, .. } if said == "no euros"),
        "{said:?}"
    );
    let shape = fault("order.settled", "2", r#"{"cents":"secret","currency":"EUR"}"#).to_string();
    assert!(shape.contains("u64") && !shape.contains("secret"), "{shape}");
}

#[test]
fn an_unreadable_event_says_where_it_is_and_what_to_do() {
    let mut event = crate::event::Event::new("1", "/shop", "order.lost");
    event.schema_version = Some("4".to_owned());
    event.data = Some(Data::Json(
        RawValue::from_string(r#"{"card":"4111"}"#.to_owned()).expect("JSON"),
    ));
    let stored = StoredEvent {
        stream: "order-7".parse().expect("a name"),
        version: 3,
        position: 99,
        recorded_at: time::OffsetDateTime::UNIX_EPOCH,
        tags: Vec::new(),
        topic: None,
        is_archived: false,
        event,
    };
    let said = decoder().decode(&stored).expect_err("unknown").to_string();
    for part in [
        "event 3 of stream order-7",
        "position 99",
        "order.lost",
        "\"4\"",
        "Add a variant",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("4111"), "{said}");
    let bytes = StoredEvent {
        event: crate::event::Event {
            data: Some(Data::Binary(vec![1])),
            ..stored.event.clone()
        },
        ..stored
    };
    assert_eq!(decoder().decode(&bytes).expect_err("bytes").fault, Fault::NotJson);
}

#[test]
fn types_and_upcasters_that_do_not_fit_make_no_decoder() {
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(tag = "type", content = "data")]
    enum Broken {
        #[serde(rename = "a")]
        A,
    }
    impl TypedEvent for Broken {
        const TYPES: &'static [EventType] = &[EventType::new("a", 3), EventType::new("a", 0)];

        fn upcasters() -> Upcasters {
            Upcasters::none()
                .upcast("a", 1, Ok)
                .upcast("a", 1, Ok)
                .upcast("a", 3, Ok)
                .upcast_to("b", 1, "c", 1, Ok)
                .upcast_to("c", 1, "b", 1, Ok)
        }
    }
    let faults = Decoder::<Broken>::new().expect_err("incoherent").to_string();
    for part in [
        "a twice",
        "version 0",
        "a version 2 has no upcaster",
        "a version 1 has two upcasters",
        "from a version 3 is not from an older",
        "b version 1 is led to",
    ] {
        assert!(faults.contains(part), "{part}: {faults}");
    }
}

#[test]
fn every_known_version_is_named() {
    let known: Vec<_> = decoder().known().into_iter().collect();
    let named: Vec<_> = known
        .iter()
        .map(|(name, version)| (name.as_str(), *version))
        .collect();
    assert_eq!(
        named,
        [
            ("order.closed", 1),
            ("order.paid", 1),
            ("order.paid", 2),
            ("order.settled", 1),
            ("order.settled", 2)
        ]
    );
}
