-- The first refusal that no recovery has closed.
select r.number, r.code, r.said, to_char(r.refused_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as refused_at
from outbox.refusal r
where r.closed_at is null
order by r.number
limit 1
