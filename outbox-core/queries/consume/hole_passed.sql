-- Whether a person let consumer $1 pass the hole before entry $3 of stream $2.
select exists (select from outbox.hole_pass h where h.consumer = $1 and h.stream = $2 and h.entry_id = $3)
