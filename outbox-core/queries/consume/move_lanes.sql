-- The stream that a key's event came from last owns what waits of it. Before the lanes are locked for joining: whoever holds
-- one of them the weaker way could not be waited for.
update outbox.parked_lane set stream = $3 where consumer = $1 and flow = $2 and lane = any($4) and stream <> $3
