-- Who leads.
select distinct l.holder from outbox.lease l where l.expires_at > clock_timestamp() and l.holder is not null
