-- Prepared transactions that appended: they end when a person ends them, and an era waits for them. At most ten.
select 'prepared transaction ' || w.prepared_name || ' of ' || coalesce(w.user_name, '?') || ', open for ' || date_trunc('second', w.age) as who
from outbox_ops.waiting_transactions w
where w.kind = 'prepared' and 'appends' = any(w.holds_back)
order by w.age desc
limit 10
