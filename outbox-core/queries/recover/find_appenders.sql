-- Who appended and has not ended: an era waits for them. At most ten. Who ends between the look at the locks and the look at
-- the sessions has no start any more: it is named, and the next look does not find it.
select coalesce('process ' || w.pid, 'prepared transaction ' || w.prepared_name) || ' of ' || coalesce(w.user_name, '?')
       || coalesce(' (' || nullif(w.application, '') || ')', '') || coalesce(', open for ' || date_trunc('second', w.age), ', which just ends') as who
from outbox_ops.waiting_transactions w
where 'appends' = any(w.holds_back)
order by w.age desc nulls last
limit 10
