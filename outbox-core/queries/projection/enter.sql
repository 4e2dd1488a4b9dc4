-- What is named without a schema is looked for in this one first, until it is left. Returns what the path was.
with before as materialized (select current_setting('search_path') as path)
select before.path from before
where set_config('search_path', quote_ident($1::text) || ', ' || before.path, true) is not null
