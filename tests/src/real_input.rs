//! Real data beside the repository, if it is there: order life cycles and webhook bodies (their README says whose).
//!
//! Never copied into the project. A test that finds none says SKIPPED, loudly, and shows nothing.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Result;

/// The states of an order in their order, with the column that has the time of each.
pub const STATES: [(&str, &str); 4] = [
    ("orders.purchased", "order_purchase_timestamp"),
    ("orders.approved", "order_approved_at"),
    ("orders.shipped", "order_delivered_carrier_date"),
    ("orders.delivered", "order_delivered_customer_date"),
];

/// A row of the orders.
#[derive(Clone, Debug)]
pub struct Order {
    /// Its id, the key of its events.
    pub id: String,
    /// The states it went through: those that have a time.
    pub life: Vec<&'static str>,
    /// The row as JSON.
    pub json: String,
}

/// A body that a webhook brought.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Name of the event.
    pub name: String,
    /// The body, byte for byte.
    pub body: String,
}

/// The orders; none where the data is not.
///
/// # Errors
/// When the file is another than expected.
pub fn orders() -> Result<Option<Vec<Order>>> {
    let Some(path) = find("olist-orders.csv") else {
        return Ok(None);
    };
    let mut orders = Vec::new();
    for row in csv::Reader::from_path(path)?.into_deserialize() {
        let row: HashMap<String, String> = row?;
        let has = |column: &str| row.get(column).is_some_and(|time| !time.is_empty());
        orders.push(Order {
            id: row.get("order_id").cloned().unwrap_or_default(),
            life: STATES
                .iter()
                .filter(|(_, column)| has(column))
                .map(|(state, _)| *state)
                .collect(),
            json: serde_json::to_string(&row)?,
        });
    }
    Ok(Some(orders))
}

/// The webhooks; none where the data is not.
///
/// # Errors
/// When the file is another than expected.
pub fn webhooks() -> Result<Option<Vec<Webhook>>> {
    #[derive(Deserialize)]
    struct Line<'a> {
        name: String,
        #[serde(borrow)]
        payload: &'a RawValue,
    }
    let Some(path) = find("github-webhooks.ndjson.gz") else {
        return Ok(None);
    };
    let mut webhooks = Vec::new();
    for line in BufReader::new(GzDecoder::new(File::open(path)?)).lines() {
        let line = line?;
        let webhook: Line<'_> = serde_json::from_str(&line)?;
        webhooks.push(Webhook {
            name: webhook.name,
            body: webhook.payload.get().to_owned(),
        });
    }
    Ok(Some(webhooks))
}

fn find(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data")
        .join(file);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("SKIPPED: real input. {} is not there", path.display());
    None
}
