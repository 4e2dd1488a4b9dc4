//! A row of the shop's file as an order and its steps, or what is wrong with it. Pure.

use outbox_core::event_store::StreamName;
use serde::Deserialize;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime};

use super::CATEGORY;
use super::event::{OrderEvent, Status};

/// `10/2/2017 10:56`, in the time of the shop, which is taken for UTC.
const TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[month padding:none]/[day padding:none]/[year] [hour padding:none]:[minute]");

/// A row, as the columns are called.
#[derive(Debug, Deserialize)]
pub(super) struct Row {
    order_id: String,
    customer_id: String,
    order_status: String,
    order_purchase_timestamp: String,
    order_approved_at: String,
    order_delivered_carrier_date: String,
    order_delivered_customer_date: String,
    order_estimated_delivery_date: String,
}

/// An order, with its steps in the order of their times.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Order {
    pub(super) stream: StreamName,
    pub(super) steps: Vec<OrderEvent>,
}

impl Order {
    /// What a row says. No value of the row is in what is said of a bad one, but the status.
    pub(super) fn of(row: &Row) -> Result<Self, String> {
        if row.order_id.is_empty() {
            return Err("order_id is empty".to_owned());
        }
        let stream =
            StreamName::new(CATEGORY, &row.order_id).map_err(|error| format!("order_id: {error}"))?;
        if row.customer_id.is_empty() {
            return Err("customer_id is empty".to_owned());
        }
        let status = Status::of_word(&row.order_status)
            .ok_or_else(|| format!("order_status: {:?} is none that is known", row.order_status))?;
        let placed = OrderEvent::Placed {
            customer: row.customer_id.clone(),
            at: required("order_purchase_timestamp", &row.order_purchase_timestamp)?,
            promised: required(
                "order_estimated_delivery_date",
                &row.order_estimated_delivery_date,
            )?,
        };
        let mut steps = timed_steps(row)?;
        if let Some(beyond) = steps.iter().find(|step| step.status() > status) {
            return Err(format!(
                "order_status: is {}, and there is a time for {}",
                status.word(),
                beyond.status().word()
            ));
        }
        // Stable: what was at the same minute stays in the order of an order's life.
        steps.sort_by_key(OrderEvent::at);
        steps.insert(0, placed);
        if steps.iter().all(|step| step.status() != status) {
            steps.push(untimed(status));
        }
        Ok(Self { stream, steps })
    }
}

/// The steps that have a time, but the first.
fn timed_steps(row: &Row) -> Result<Vec<OrderEvent>, String> {
    let paid = optional("order_approved_at", &row.order_approved_at)?;
    let shipped = optional("order_delivered_carrier_date", &row.order_delivered_carrier_date)?;
    let delivered = optional(
        "order_delivered_customer_date",
        &row.order_delivered_customer_date,
    )?;
    let steps = [
        paid.map(|at| OrderEvent::Paid { at: Some(at) }),
        shipped.map(|at| OrderEvent::Shipped { at: Some(at) }),
        delivered.map(|at| OrderEvent::Delivered { at: Some(at) }),
    ];
    Ok(steps.into_iter().flatten().collect())
}

/// The step that a status tells of, where nobody wrote down when it was.
fn untimed(status: Status) -> OrderEvent {
    match status {
        Status::Created | Status::Approved => OrderEvent::Paid { at: None },
        Status::Processing => OrderEvent::Processing,
        Status::Invoiced => OrderEvent::Invoiced,
        Status::Shipped => OrderEvent::Shipped { at: None },
        Status::Delivered => OrderEvent::Delivered { at: None },
        Status::Unavailable => OrderEvent::Unavailable,
        Status::Canceled => OrderEvent::Canceled,
    }
}

fn required(column: &str, text: &str) -> Result<OffsetDateTime, String> {
    optional(column, text)?.ok_or_else(|| format!("{column} is empty"))
}

fn optional(column: &str, text: &str) -> Result<Option<OffsetDateTime>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    PrimitiveDateTime::parse(text, TIME)
        .map(|at| Some(at.assume_utc()))
        .map_err(|_| format!("{column}: must be a time as 10/2/2017 10:56"))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn row(status: &str, times: [&str; 4]) -> Row {
        let [purchase, approved, carrier, customer] = times.map(str::to_owned);
        Row {
            order_id: "a1".to_owned(),
            customer_id: "ann".to_owned(),
            order_status: status.to_owned(),
            order_purchase_timestamp: purchase,
            order_approved_at: approved,
            order_delivered_carrier_date: carrier,
            order_delivered_customer_date: customer,
            order_estimated_delivery_date: "10/18/2017 0:00".to_owned(),
        }
    }

    fn statuses(row: &Row) -> Vec<Status> {
        let order = Order::of(row).expect("a good row");
        order.steps.iter().map(OrderEvent::status).collect()
    }

    #[test]
    fn steps_come_in_the_order_of_their_times_behind_the_first() {
        let disordered = row(
            "delivered",
            [
                "10/2/2017 10:56",
                "10/4/2017 9:00",
                "10/3/2017 8:05",
                "10/4/2017 9:00",
            ],
        );
        assert_eq!(
            statuses(&disordered),
            [
                Status::Created,
                Status::Shipped,
                Status::Approved,
                Status::Delivered
            ]
        );
        let order = Order::of(&disordered).expect("a good row");
        assert_eq!(order.stream.as_str(), "order-a1");
        assert_eq!(order.steps[1].at(), Some(datetime!(2017-10-03 8:05 UTC)));
    }

    #[test]
    fn a_status_without_a_time_is_a_step_at_the_end() {
        let canceled = row("canceled", ["10/2/2017 10:56", "10/2/2017 11:00", "", ""]);
        assert_eq!(
            statuses(&canceled),
            [Status::Created, Status::Approved, Status::Canceled]
        );
        assert_eq!(
            statuses(&row("created", ["10/2/2017 10:56", "", "", ""])),
            [Status::Created]
        );
    }

    #[test]
    fn what_is_wrong_with_a_row_is_said() {
        for (row, said) in [
            (row("lost", ["10/2/2017 10:56", "", "", ""]), "\"lost\" is none"),
            (
                row("created", ["", "", "", ""]),
                "order_purchase_timestamp is empty",
            ),
            (
                row("created", ["2017-10-02", "", "", ""]),
                "order_purchase_timestamp: must be",
            ),
            (
                row("approved", ["10/2/2017 10:56", "13/2/2017 10:56", "", ""]),
                "order_approved_at: must be",
            ),
            (
                row("shipped", ["10/2/2017 10:56", "", "", "10/4/2017 9:00"]),
                "is shipped, and there is a time for delivered",
            ),
        ] {
            let error = Order::of(&row).expect_err("a bad row");
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn an_id_follows_the_stream_the_step_and_what_it_says() {
        let order = Order::of(&row("created", ["10/2/2017 10:56", "", "", ""])).expect("a good row");
        let other = Order::of(&row("created", ["10/2/2017 10:57", "", "", ""])).expect("a good row");
        let id = |order: &Order| order.steps[0].command_id(&order.stream).expect("an id");
        // Stored ids depend on it: it never changes.
        assert_eq!(id(&order).to_string(), "0f014bea-10ab-589d-a407-173a6fd54c96");
        assert_ne!(id(&order), id(&other));
    }
}
