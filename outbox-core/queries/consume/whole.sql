-- Whether this is still the transaction that was begun: its local mark ends with it. What the handlers did is over: from
-- here on the commit is ours.
select current_setting('outbox.applying', true) is not distinct from 'on'
   and set_config('outbox.applying', 'done', true) = 'done',
   -- An entry is acknowledged after the commit, whatever a handler set for it.
   case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'on', true) end
