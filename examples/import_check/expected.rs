//! What the streams must hold, read from the files.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::Result;

/// What is compared of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) kind: String,
    pub(super) key: String,
    pub(super) data: String,
}

/// A row, its fields in the order of the columns: as JSON it is the payload.
#[derive(Debug, Deserialize, Serialize)]
struct Order {
    order_id: String,
    customer_id: String,
    order_status: String,
    order_purchase_timestamp: String,
    order_approved_at: String,
    order_delivered_carrier_date: String,
    order_delivered_customer_date: String,
    order_estimated_delivery_date: String,
}

impl Order {
    fn life(&self) -> impl Iterator<Item = &'static str> {
        let times = [
            ("orders.purchased", &self.order_purchase_timestamp),
            ("orders.approved", &self.order_approved_at),
            ("orders.shipped", &self.order_delivered_carrier_date),
            ("orders.delivered", &self.order_delivered_customer_date),
        ];
        times
            .into_iter()
            .filter(|(_, time)| !time.is_empty())
            .map(|(kind, _)| kind)
    }
}

/// The options that say the same to the importer.
pub(super) const ORDERS: &[&str] = &[
    "--topic=orders",
    "--key-from=order_id",
    "--event=orders.purchased=order_purchase_timestamp",
    "--event=orders.approved=order_approved_at",
    "--event=orders.shipped=order_delivered_carrier_date",
    "--event=orders.delivered=order_delivered_customer_date",
];

/// The entries of the orders, and how many orders there are.
pub(super) fn orders(file: &Path) -> Result<(Vec<Entry>, u64)> {
    let mut entries = Vec::new();
    let mut count = 0;
    for order in csv::Reader::from_path(file)?.into_deserialize() {
        let order: Order = order?;
        let data = serde_json::to_string(&order)?;
        count += 1;
        entries.extend(order.life().map(|kind| Entry {
            kind: kind.to_owned(),
            key: order.order_id.clone(),
            data: data.clone(),
        }));
    }
    Ok((entries, count))
}

#[derive(Deserialize)]
struct Webhook<'a> {
    name: String,
    example: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The options that say the same to the importer.
pub(super) const WEBHOOKS: &[&str] = &[
    "--topic=webhooks",
    "--type-from=/name",
    "--key-from=/example",
    "--data-from=/payload",
];

/// The entries of the webhooks.
pub(super) fn webhooks(file: &Path) -> Result<Vec<Entry>> {
    let lines = BufReader::new(GzDecoder::new(File::open(file)?)).lines();
    lines
        .map(|line| {
            let line = line?;
            let webhook: Webhook<'_> = serde_json::from_str(&line)?;
            Ok(Entry {
                kind: webhook.name,
                key: webhook.example,
                data: webhook.payload.get().to_owned(),
            })
        })
        .collect()
}
