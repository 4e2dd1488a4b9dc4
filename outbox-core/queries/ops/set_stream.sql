-- Sets how long entries of a topic's streams ($1; * for the default of all) stay, and their hard cap. $2 whether the former is
-- given and $3 what, null for ever; $4 whether the latter is given and $5 how many, null for none. A topic without a row begins
-- with what holds for it now. Returns both.
insert into outbox.stream_setting (topic, retention, cap)
select $1::text, case when $2::boolean then $3::text::interval else rule.retention end, case when $4::boolean then $5::bigint else rule.cap end
from outbox.stream_setting rule
where rule.topic = '*'
on conflict (topic) do update
    set retention = case when $2::boolean then $3::text::interval else stream_setting.retention end,
        cap = case when $4::boolean then $5::bigint else stream_setting.cap end
returning retention::text, cap
