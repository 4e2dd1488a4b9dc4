-- Streams in the order of their names: $1 of this category (null: of all), $2 behind this name, up to $3.
select s.name, s.created_at, coalesce(newest.version, outbox.version_of(s.id)) as version, newest.recorded_at, coalesce(oldest.version, 0) as first_version
from outbox.stream s
left join lateral (select e.version, e.recorded_at from outbox.stored_event e where e.stream_id = s.id order by e.version desc limit 1) newest on true
left join lateral (select e.version from outbox.stored_event e where e.stream_id = s.id order by e.version limit 1) oldest on true
where ($1::text is null or s.category = (select c.id from outbox.category c where c.name = $1::text)) and s.name > $2::text
order by s.name
limit $3::bigint
