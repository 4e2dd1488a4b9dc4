-- Where the ledger ends.
select max(number) as number from outbox.batch
