//! Which reported steps become events. Pure.

use std::collections::BTreeSet;
use std::fmt;

use outbox_core::event_store::decide::Decider;

use super::event::{OrderEvent, Status};

/// Orders, decided one by one.
pub(super) struct Orders;

/// A step that a till, a bank or a carrier reports.
#[derive(Clone, Debug)]
pub(super) struct Report(pub(super) OrderEvent);

/// What is known of an order; nothing before it is placed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) status: Option<Status>,
    steps: BTreeSet<Status>,
}

/// Why a report is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    NotPlaced,
    PlacedBefore,
    Closed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPlaced => "the order was never placed",
            Self::PlacedBefore => "the order was placed before",
            Self::Closed => "the order is closed",
        })
    }
}

impl std::error::Error for Refusal {}

impl Decider for Orders {
    type Command = Report;
    type Event = OrderEvent;
    type State = Known;
    type Refusal = Refusal;

    fn initial() -> Known {
        Known::default()
    }

    fn evolve(mut known: Known, event: &OrderEvent) -> Known {
        known.steps.insert(event.status());
        known.status = known.status.max(Some(event.status()));
        known
    }

    /// A carrier may report before the bank does: only what is placed or closed is asked for. The same step again is nothing new.
    fn decide(Report(step): &Report, known: &Known) -> Result<Vec<OrderEvent>, Refusal> {
        match (known.status, step) {
            (None, OrderEvent::Placed { .. }) => Ok(vec![step.clone()]),
            (None, _) => Err(Refusal::NotPlaced),
            (Some(_), OrderEvent::Placed { .. }) => Err(Refusal::PlacedBefore),
            (Some(_), _) if known.steps.contains(&step.status()) => Ok(Vec::new()),
            (Some(status), _) if status.is_closed() => Err(Refusal::Closed),
            (Some(_), _) => Ok(vec![step.clone()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::event_store::decide::scenario::given;
    use time::macros::datetime;

    use super::*;

    fn placed() -> OrderEvent {
        OrderEvent::Placed {
            customer: "ann".to_owned(),
            at: datetime!(2017-10-02 10:56 UTC),
            promised: datetime!(2017-10-18 0:00 UTC),
        }
    }

    #[test]
    fn an_order_goes_its_way_in_whatever_order_its_steps_are_reported() {
        let shipped = OrderEvent::Shipped { at: None };
        let paid = OrderEvent::Paid { at: None };
        given::<Orders>([placed()])
            .when(Report(shipped.clone()))
            .then([shipped.clone()])
            .when(Report(paid.clone()))
            .then([paid])
            .then_state(Known {
                status: Some(Status::Shipped),
                steps: [Status::Created, Status::Approved, Status::Shipped].into(),
            })
            .when(Report(shipped))
            .then([]);
    }

    #[test]
    fn what_cannot_happen_is_refused() {
        given::<Orders>([])
            .when(Report(OrderEvent::Canceled))
            .then_refused(Refusal::NotPlaced);
        given::<Orders>([placed()])
            .when(Report(placed()))
            .then_refused(Refusal::PlacedBefore);
        given::<Orders>([placed(), OrderEvent::Canceled])
            .when(Report(OrderEvent::Delivered { at: None }))
            .then_refused(Refusal::Closed);
    }
}
