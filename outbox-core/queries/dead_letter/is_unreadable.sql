-- An entry that could not be read could not say what precedes it either.
select exists (
    select from outbox.dead_letter where consumer = $1 and stream = $2 and entry_id = $3 and id is null
)
