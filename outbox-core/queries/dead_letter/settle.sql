-- What became of a letter that was put back: the letter, and the operation that put it back.
with letter as (
    update outbox.dead_letter
    set state = $2, changed_at = clock_timestamp()
    where number = $1 and state = 'redriving'
)
update outbox.operation_item
set state = $2, changed_at = clock_timestamp()
where dead_letter = $1 and state = 'released'
