//! Reading the shop's file: orders one by one, and what is wrong by its line. A value does not go on in the next line.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

use csv::{ReaderBuilder, StringRecord};

use super::row::{Order, Row};
use crate::Result;

/// More than any row has: a file without line ends is not read into memory.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// A line of the file: an order, or why it is none.
pub(super) type Line = (u64, Result<Order, String>);

/// The orders of a file, in its order. Memory follows the number of orders: each id is remembered with its line.
pub(super) struct Orders<R> {
    input: BufReader<R>,
    /// The line that was read last.
    number: u64,
    headers: StringRecord,
    lines: HashMap<String, u64>,
}

impl<R: Read> Orders<R> {
    pub(super) fn new(input: R) -> Result<Self> {
        let mut orders = Self {
            input: BufReader::new(input),
            number: 0,
            headers: StringRecord::new(),
            lines: HashMap::new(),
        };
        let first = orders.text_line()?.ok_or("the file is empty")?;
        orders.headers = record(&first)?;
        Ok(orders)
    }

    /// The next line that is not empty; none at the end.
    ///
    /// # Errors
    /// When the file cannot be read. What is wrong with a line is said of that line.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>> {
        let Some(text) = self.text_line()? else {
            return Ok(None);
        };
        let order = record(&text).and_then(|record| self.order(&record));
        Ok(Some((self.number, order)))
    }

    /// The next line that is not empty, without its end.
    fn text_line(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let mut line = Vec::new();
            let limited = &mut (&mut self.input).take(LINE_BYTES_MAX);
            if limited.read_until(b'\n', &mut line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.len() as u64 == LINE_BYTES_MAX {
                return Err(format!("line {} is longer than {LINE_BYTES_MAX} bytes", self.number).into());
            }
            let end = line
                .iter()
                .rposition(|byte| !matches!(byte, b'\r' | b'\n'))
                .map_or(0, |last| last + 1);
            line.truncate(end);
            if !line.is_empty() {
                return Ok(Some(line));
            }
        }
    }

    fn order(&mut self, record: &StringRecord) -> Result<Order, String> {
        if record.len() != self.headers.len() {
            return Err(format!(
                "{} fields, and the first line has {}",
                record.len(),
                self.headers.len()
            ));
        }
        // Without the values of the row.
        let row: Row = record
            .deserialize(Some(&self.headers))
            .map_err(|_| "a column is missing".to_owned())?;
        let order = Order::of(&row)?;
        if let Some(before) = self.lines.get(order.stream.as_str()) {
            return Err(format!("order_id: is that of line {before}"));
        }
        self.lines.insert(order.stream.to_string(), self.number);
        Ok(order)
    }
}

/// The fields of a line.
fn record(line: &[u8]) -> Result<StringRecord, String> {
    let mut fields = StringRecord::new();
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(line);
    match reader.read_record(&mut fields) {
        Ok(true) => Ok(fields),
        Ok(false) => Err("no fields".to_owned()),
        Err(error) if matches!(error.kind(), csv::ErrorKind::Utf8 { .. }) => Err("not UTF-8".to_owned()),
        Err(_) => Err("not CSV".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,order_delivered_carrier_date,\
                        order_delivered_customer_date,order_estimated_delivery_date\n";

    #[test]
    fn each_line_is_an_order_or_is_named_with_the_reason() {
        let text = format!(
            "{HEAD}a,ann,created,10/2/2017 10:56,,,,10/18/2017 0:00\n\
             b,bob,created\n\
             \n\
             a,ann,created,10/2/2017 10:56,,,,10/18/2017 0:00\n\
             c,cid,created,10/2/2017 10:56,,,,10/18/2017 0:00\n"
        );
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let mut orders = Orders::new(text.as_bytes()).expect("has a first line");
            let mut seen = Vec::new();
            while let Some((line, order)) = orders.next_line().expect("readable") {
                seen.push((line, order.map(|order| order.stream.to_string())));
            }
            assert_eq!(
                seen,
                [
                    (2, Ok("order-a".to_owned())),
                    (3, Err("3 fields, and the first line has 8".to_owned())),
                    (5, Err("order_id: is that of line 2".to_owned())),
                    (6, Ok("order-c".to_owned())),
                ]
            );
        }
    }
}
