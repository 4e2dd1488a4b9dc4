-- Streams that are being put out again, and how far that is.
select r.topic, r.stream, r.events, r.published, extract(epoch from r.remaining)::float8 as remaining
from outbox_ops.reissues r
where r.state = 'running'
order by r.cut_at
limit 1000
