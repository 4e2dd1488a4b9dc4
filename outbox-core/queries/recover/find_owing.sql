-- Streams that have not had all of a layout before the present one of their topic: what they lack cannot come behind their end.
select t.topic, t.partition from outbox.topic_stream t where outbox.owes_of_earlier_layout(t.topic, t.partition)
