-- Whether this is still the transaction that was begun: its local mark ends with it.
select current_setting('outbox.applying', true) is not distinct from 'on'
