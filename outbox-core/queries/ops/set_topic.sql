-- Sets what is given and leaves the rest; a topic that was not seen yet is made.
insert into outbox.topic (name, retention, partitions)
values ($1, coalesce($2, 'standard'), coalesce($3, 1))
on conflict (name) do update
    set retention = coalesce($2, topic.retention), partitions = coalesce($3, topic.partitions)
returning retention, partitions
