-- Topics $1 of which the database has nothing, and whose streams it goes on with, are known from here on.
insert into outbox.topic (name) select distinct unknown.name from unnest($1::text[]) unknown (name)
on conflict do nothing
