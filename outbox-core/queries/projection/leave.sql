-- The search path as it was.
select set_config('search_path', $1::text, true)
