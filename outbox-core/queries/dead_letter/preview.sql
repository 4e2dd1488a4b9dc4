-- What a redrive would do.
select row_to_json(preview)::text from outbox.preview_redrive($1::text::jsonb) preview
