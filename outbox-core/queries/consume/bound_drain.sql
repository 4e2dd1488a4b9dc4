-- Ends the wait in the server before the caller stops listening. A limit set on the function would not: the clock of a
-- statement starts with it.
select set_config('statement_timeout', '25s', true)
