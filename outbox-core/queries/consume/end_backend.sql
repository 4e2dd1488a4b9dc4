-- A handler that did not answer may have left the server in the middle of a statement, whose locks would be held until its end.
select pg_terminate_backend($1)
