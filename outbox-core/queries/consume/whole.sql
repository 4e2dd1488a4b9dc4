-- Whether this is still the transaction that was begun: its local mark ends with it. What the handlers did is over: from
-- here on the commit is ours.
select current_setting('outbox.applying', true) is not distinct from 'on'
   and set_config('outbox.applying', 'done', true) = 'done'
