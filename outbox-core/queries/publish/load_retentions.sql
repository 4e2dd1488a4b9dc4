-- For how many seconds entries stay on the streams of topics at most, null for ever: those with a setting of their own, and * for
-- all others. Trimming lags behind the setting by a twentieth of it.
select topic, ceil(extract(epoch from retention) * 21 / 20)::bigint as seconds
from outbox.stream_setting
