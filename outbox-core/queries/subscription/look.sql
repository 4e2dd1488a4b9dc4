-- Everything that a process says and asks once a second: that it lives ($3; dead ones are forgotten), that its leases go on ($4
-- partitions, $5 epochs, for $6 ms), and who holds what. No row: the subscription is gone. Waits for no row.
with kept as (
    select lease.partition
    from unnest($4::integer[], $5::bigint[]) mine (partition, epoch)
    join outbox.subscription_lease lease
      on lease.subscription = $1::text and lease.generation = $2::integer and lease.partition = mine.partition
    where lease.epoch = mine.epoch and lease.holder is not null
    for no key update of lease skip locked
), renewed as (
    update outbox.subscription_lease lease
    set expires_at = clock_timestamp() + $6::float8 * interval '1 millisecond'
    from kept
    where lease.subscription = $1::text and lease.generation = $2::integer and lease.partition = kept.partition
), seen as (
    insert into outbox.subscription_member as known (subscription, generation, member)
    select s.name, s.generation, $3::text from outbox.subscription s where s.name = $1::text and s.generation = $2::integer
    on conflict (subscription, generation, member) do update set seen_at = clock_timestamp()
), gone as (
    delete from outbox.subscription_member m
    where m.subscription = $1::text and m.generation = $2::integer and m.member <> $3::text
      and m.seen_at < clock_timestamp() - $6::float8 * interval '10 milliseconds'
)
select s.paused_at is not null as is_paused,
       array(select l.partition from outbox.subscription_lease l
             where l.subscription = s.name and l.generation = s.generation order by l.partition) as partitions,
       array(select l.epoch from outbox.subscription_lease l
             where l.subscription = s.name and l.generation = s.generation order by l.partition) as epochs,
       -- A lease that ends later than anybody can have asked for is from before the clock was set back.
       array(select l.holder is not null and l.expires_at between clock_timestamp() and clock_timestamp() + $6::float8 * interval '2 milliseconds'
             from outbox.subscription_lease l
             where l.subscription = s.name and l.generation = s.generation order by l.partition) as held,
       (select count(*) from outbox.subscription_member m
        where m.subscription = s.name and m.generation = s.generation and m.member <> $3::text
          and m.seen_at between clock_timestamp() - $6::float8 * interval '1 millisecond' and clock_timestamp() + $6::float8 * interval '1 millisecond')
           as others
from outbox.subscription s
where s.name = $1::text and s.generation = $2::integer
