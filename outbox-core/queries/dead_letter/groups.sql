-- Groups of dead letters, those with the most letters first.
select row_to_json(shown)::text
from (
    select * from outbox_ops.dead_letter_groups g
    where ($1::text is null or g.consumer = $1)
      and ($2::text is null or g.fingerprint = $2)
      and ($3::text is null or exists (select from unnest(g.topics) topic where topic = $3 or starts_with(topic, $3 || '@')))
      and ($4::text is null or g.type = $4)
      and ($5::text is null or g.error_class = $5)
      and ($6::text is null or g.error_kind = $6)
    order by g.letters desc, g.last_dead_at desc, g.fingerprint
    limit $7
) shown
