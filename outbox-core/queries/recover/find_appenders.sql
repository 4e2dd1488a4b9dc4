-- Who appended and has not ended: an era waits for them. At most ten.
select coalesce('process ' || w.pid, 'prepared transaction ' || w.prepared_name) || ' of ' || coalesce(w.user_name, '?')
       || coalesce(' (' || nullif(w.application, '') || ')', '') || ', open for ' || date_trunc('second', w.age) as who
from outbox_ops.waiting_transactions w
where 'appends' = any(w.holds_back)
order by w.age desc
limit 10
