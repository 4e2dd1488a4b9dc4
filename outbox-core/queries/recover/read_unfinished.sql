-- The recovery that was begun and not finished, how many entries it kept, and how many of these to take them off.
select r.number, r.strategy, opened.batch_id as opened_batch_id, r.removing_at is not null as removing,
       (select count(*) from outbox.unknown_entry e where e.recovery = r.number and e.fate = 'removed') as removed
from outbox.recovery r
left join outbox.era opened on opened.era = r.era
where r.state in ('begun', 'opened')
order by r.number desc
limit 1
