-- Every stream that a topic has or had.
select topic, partition from outbox.topic_stream order by topic, partition limit 10000
