-- Opens the era of a recovery. $1 recovery, $2 epoch of the lease, $3 highest batch id and $4 highest position seen at the sink,
-- $5 streams that go on behind another entry than their progress says, as JSON.
select opened.era, opened.batch_number, opened.batch_id, opened.events
from outbox.open_era($1::bigint, $2::bigint, $3::bigint, $4::bigint, $5::text::jsonb) opened
