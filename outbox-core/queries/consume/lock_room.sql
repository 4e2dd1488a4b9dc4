-- How many locks the server can hold at a time, over all sessions: it makes room for so many when it starts.
select current_setting('max_locks_per_transaction')::bigint
       * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)
