-- Which of the batch ids $1, found in marks at the sink, this ledger never cut. Compared one by one and not with the end of
-- the ledger: a database that went back in time goes on cutting, and soon its last batch is younger than the mark.
-- Ids older than the oldest batch that the ledger still holds cannot be judged. Of those older than what the present era began
-- with, a person has judged.
select distinct marked.batch_id
from unnest($1::bigint[]) marked (batch_id)
where marked.batch_id >= (select oldest.batch_id from outbox.batch oldest order by oldest.number limit 1)
  and marked.batch_id >= (select e.batch_id from outbox.era e order by e.era desc limit 1)
  and not exists (select from outbox.batch known where known.batch_id = marked.batch_id)
