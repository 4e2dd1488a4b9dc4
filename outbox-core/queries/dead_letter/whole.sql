-- One dead letter with all of it. A letter from before attempts were told one by one has no history.
select row_to_json(summary)::text as summary,
       letter.error,
       letter.history::text as history,
       letter.entry_fields,
       letter.edited_fields
from outbox_ops.dead_letters summary
join outbox.dead_letter letter on letter.number = summary.number
where summary.number = $1
