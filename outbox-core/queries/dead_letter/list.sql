-- Dead letters of a filter by number, without payloads and without what handlers said.
select row_to_json(letter)::text
from outbox.select_dead_letters($1::text::jsonb, $2, $3, $4) chosen (number)
join outbox_ops.dead_letters letter on letter.number = chosen.number
order by letter.number
